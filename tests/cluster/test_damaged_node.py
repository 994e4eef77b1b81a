# SPDX-License-Identifier: GPL-2.0-or-later
"""Two of three nodes have a damaged page in their metadata: each says so of the files on it, alone and among many, and a
client gets all of them from the third, whichever node it comes to first.  About 4 s."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import Cluster, need, say, wait_for  # noqa: E402
from sxhttp import parse_message  # noqa: E402

FILES, ROUNDS = 120, 6  # their rows fill several pages; one round of three would not meet a damaged node


def damage(node, text):
    """One bit of each place where the text is in the node's metadata, while the node does not run."""
    with open(f"{node.dir}/meta/group-0.db", "r+b") as f:
        places = [m.start() for m in re.finditer(re.escape(text), f.read())]
        for at in places:
            f.seek(at)
            f.write(bytes([text[0] ^ 0x10]))
    assert places, "the rows are not in the database"


def fates(node, names):
    """What the node gives of many files: their sizes or the codes of errors."""
    a = node.client().request("POST", "/files/vol/get", {"paths": names, "data": 0})
    assert a.status == 200, a
    head, data = parse_message(a.body)
    found = []
    for _ in range(head["count"]):
        n = int.from_bytes(data[:4], "little")
        j = parse_message(data[4:4 + n])[0]
        found.append(j["error"]["code"] if "error" in j else j["size"])
        data = data[4 + n:]
    return found


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx")
    with Cluster("damaged", nodes=3, workers=3, reserved=2, size="1G") as c:
        c.tool("sxvol", "create", "--replica", "3", "@t/vol")
        os.mkdir(f"{c.dir}/tree")
        names = [f"file-{i:03}" for i in range(FILES)]
        for name in names:
            with open(f"{c.dir}/tree/{name}", "w") as f:
                f.write(name)
        c.tool("sxcp", "-r", f"{c.dir}/tree/", "@t/vol/")
        for n in c.nodes:
            wait_for("all rows on each node", 30, lambda n=n: fates(n, names) == [len(names[0])] * FILES)
        for n in c.nodes:
            n.stop()  # SQLite's logs go into the databases
        for n in c.nodes[1:]:
            damage(n, names[60].encode())
        for n in c.nodes:
            n.start()
        c.wait_healthy()
        for n in c.nodes[1:]:
            got = fates(n, names)
            assert "Corrupt" in got and len(names[0]) in got and set(got) == {"Corrupt", len(names[0])}, got
            a = n.client().request("GET", f"/files/vol/{names[60]}")
            assert (a.status, a.code) == (500, "Corrupt"), a
        say("two nodes say which files they cannot give")
        for i in range(ROUNDS):
            c.tool("sxcp", "-r", "@t/vol/", f"{c.dir}/out{i}/")
            for name in names:
                with open(f"{c.dir}/out{i}/{name}") as f:
                    assert f.read() == name, name
        say("a client has them from the third")


if __name__ == "__main__":
    main()
