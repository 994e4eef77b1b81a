# SPDX-License-Identifier: GPL-2.0-or-later
"""Uploads that take much longer than leases last, with a collector that never rests: what was sent must still be
there at the end, for files, for standard input and by S3, and what an interrupted upload left is collected."""
import http.client
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import Cluster, need, say, wait_for  # noqa: E402
from s3 import Site  # noqa: E402

LEASE_S, SIZE, RATE = 4, 24 << 20, 2 << 20


def sxcp(c, *words, data=None):
    p = subprocess.run(["sxcp", "-q", *words], env=c.env, input=data, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, timeout=300)
    assert p.returncode == 0, p.stdout.decode(errors="replace")
    return p.stdout


def stopped(c):
    """A client that sleeps until what it sent has been collected goes on all the same."""
    data = os.urandom(SIZE // 2)
    with open(f"{c.dir}/asleep", "wb") as f:
        f.write(data)
    p = subprocess.Popen(["sxcp", "-q", "-b", str(RATE), f"{c.dir}/asleep", "@t/vol/asleep"], env=c.env,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    time.sleep(3)
    before = c.status()["nodes"][0]["collector"]["deleted"]
    p.send_signal(signal.SIGSTOP)
    try:
        wait_for("what the sleeping client sent to be collected", 40,
                 lambda: c.status()["nodes"][0]["collector"]["deleted"] > before)
    finally:
        p.send_signal(signal.SIGCONT)
    out = p.communicate(timeout=120)[0].decode(errors="replace")
    assert p.returncode == 0, out
    assert sxcp(c, "@t/vol/asleep", "-") == data
    say("an upload whose client slept until its blocks were gone")


def by_s3(c):
    """The same by S3, where the node itself keeps the leases of what it has stored so far."""
    raw, data = Site(c).raw(timeout=120), os.urandom(SIZE)
    assert raw.request("PUT", "/bucket").status == 200

    def slowly():
        for at in range(0, SIZE, RATE // 4):
            time.sleep(0.25)
            yield data[at:at + RATE // 4]
    send = raw.signed("PUT", "/bucket/slow", payload="UNSIGNED-PAYLOAD")
    h = http.client.HTTPSConnection(c.nodes[0].address, c.nodes[0].port, timeout=120, context=raw.context)
    h.request("PUT", "/bucket/slow", headers={**send, "content-length": str(SIZE)}, body=slowly())
    r = h.getresponse()
    assert r.status == 200, (r.status, r.read())
    h.close()
    assert raw.request("GET", "/bucket/slow").body == data
    say("an object that came slowly")


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx")
    with Cluster("leases", settings={"lease_s": LEASE_S, "collect_interval_s": 1}) as c:
        c.tool("sxvol", "create", "@t/vol")
        data = os.urandom(SIZE)
        with open(f"{c.dir}/file", "wb") as f:
            f.write(data)
        start = time.monotonic()
        sxcp(c, "-b", str(RATE), f"{c.dir}/file", "@t/vol/file")
        took = time.monotonic() - start
        assert took > 2 * LEASE_S, f"{took:.1f} s are too short to show anything"
        assert sxcp(c, "@t/vol/file", "-") == data
        say(f"a file that took {took:.1f} s, with leases of {LEASE_S} s")

        other = os.urandom(SIZE)
        sxcp(c, "-b", str(RATE), "-", "@t/vol/pipe", data=other)
        assert sxcp(c, "@t/vol/pipe", "-") == other
        say("standard input, which cannot be read again")

        last = os.urandom(SIZE)
        with open(f"{c.dir}/last", "wb") as f:
            f.write(last)
        subprocess.run(["timeout", "-s", "KILL", "4", "sxcp", "-q", "-b", str(RATE), f"{c.dir}/last", "@t/vol/last"],
                       env=c.env, check=False)
        time.sleep(3 * LEASE_S)
        sxcp(c, f"{c.dir}/last", "@t/vol/last")
        assert sxcp(c, "@t/vol/last", "-") == last
        say("an upload begun anew long after it was killed")

        stopped(c)
        by_s3(c)


main()
