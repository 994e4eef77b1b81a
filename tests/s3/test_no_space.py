# SPDX-License-Identifier: GPL-2.0-or-later
"""No space for an object, or a part, that arrives: 507 InsufficientStorage in the midst of a stream, at whatever length; nothing
of it is left, what was there can be read, small objects and deletions go on; and with more space the same requests succeed."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import Cluster, need, say, wait_for  # noqa: E402
from s3 import MIB, Site  # noqa: E402

KEPT = 4 * MIB
LENGTHS = [9 * MIB, 12 * MIB, 24 * MIB + 1, 48 * MIB]  # it is the last buffer, one in the middle, or the last but one


def refused(r):
    assert r.status == 507 and r.code == "InsufficientStorage", r


def fill(raw):
    """Objects up to the first that is refused; their contents."""
    there = {}
    while True:
        key, body = f"/vol/fill{len(there)}", os.urandom(KEPT)
        r = raw.request("PUT", key, body)
        if r.status != 200:
            refused(r)
            return there
        there[key] = body
        assert len(there) < 64, "the device is never full"


def read_all(raw, there):
    for key, body in there.items():
        assert raw.request("GET", key).body == body, key


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx")
    with Cluster("no-space", settings={"lease_s": 2, "collect_interval_s": 1}) as c:
        raw, node = Site(c).raw(), c.nodes[0]

        def size(text):
            c.tool("sxadm", "node", "set-device", "--dir", node.dir, "--size", text, "1")

        assert raw.request("PUT", "/vol").status == 200
        size("24M")
        there = fill(raw)
        assert there
        bodies = {f"/vol/large{n}": os.urandom(n) for n in LENGTHS}
        for key, body in bodies.items():
            refused(raw.request("PUT", key, body, payload="UNSIGNED-PAYLOAD"))
            assert raw.request("HEAD", key).status == 404, key
        upload = re.search(rb"<UploadId>(.*?)</UploadId>", raw.request("POST", "/vol/parts?uploads").body)[1].decode()
        part = f"/vol/parts?partNumber=1&uploadId={upload}"
        refused(raw.request("PUT", part, bodies[f"/vol/large{LENGTHS[-1]}"]))
        assert raw.request("GET", f"/vol/parts?uploadId={upload}").all("PartNumber") == []
        read_all(raw, there)
        assert raw.request("PUT", "/vol/tiny", b"in the metadata").status == 200
        say("refused at every length; what was there is read, and small objects are taken")

        key, body = there.popitem()
        assert raw.request("DELETE", key).status == 204
        wait_for("the space of what was deleted, and of what was refused", 60,
                 lambda: raw.request("PUT", key, body).status == 200, every=1)
        there[key] = body
        read_all(raw, there)
        say("deleting makes room again")

        size("1G")
        for key, body in bodies.items():
            assert raw.request("PUT", key, body, payload="UNSIGNED-PAYLOAD").status == 200, key
        assert raw.request("PUT", part, bodies[f"/vol/large{LENGTHS[0]}"]).status == 200
        read_all(raw, {**there, **bodies})
        say("with more space all of it is stored")


if __name__ == "__main__":
    main()
