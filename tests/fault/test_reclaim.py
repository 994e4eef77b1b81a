# SPDX-License-Identifier: GPL-2.0-or-later
"""Space comes back. Files are put and deleted a moment later: all of them, a random half, a whole volume, while others are
being uploaded; within two minutes the packs on the disk, and what the status calls used, are so much smaller. What was not
deleted is whole. In the whole tier with the settings of a new node, else with shorter leases and less data."""
import glob
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import fault  # noqa: E402
from cluster import SMALL, Cluster, need, say, wait_for  # noqa: E402

WHOLE = fault.SHARE >= 1
SETTINGS = {} if WHOLE else {"lease_s": 3}
LIMIT_S = 120
FILES, SIZE = (100, 2 << 20) if WHOLE else (16 if SMALL else 40, 600_000)
HALF_BACK = 0.8  # of the dead bytes


class Space:
    def __init__(self, c):
        self.c = c

    def used(self):
        return self.c.status()["nodes"][0]["used"]

    def packs(self):
        return sum(os.stat(p).st_blocks * 512 for p in glob.glob(f"{self.c.nodes[0].dir}/store*/packs/*.pack"))

    def fall_to(self, what, most):
        """Seconds until the packs and the status say at most `most` bytes."""
        start = time.monotonic()
        wait_for(f"{what}: at most {most} bytes (status {self.used()}, disk {self.packs()})", LIMIT_S,
                 lambda: self.used() <= most and self.packs() <= most + (1 << 20), every=0.5)
        took = time.monotonic() - start
        say(f"{what}: back after {took:.0f} s")
        return took


def fill(c, rng, name, count):
    """Files of their own content in one folder; their names."""
    folder = f"{c.dir}/{name}"
    os.mkdir(folder)
    for i in range(count):
        with open(f"{folder}/f{i:03}", "wb") as f:
            f.write(rng.randbytes(SIZE))
    c.tool("sxcp", "-r", f"{folder}/", f"@t/vol/{name}/")
    return [f"f{i:03}" for i in range(count)]


class Uploader(threading.Thread):
    """Puts one file of its own, again and again: so small that what is leased of it stays far below what is waited for, however
    fast the machine is."""

    def __init__(self, c):
        super().__init__()
        self.c, self.stop, self.rounds, self.error = c, threading.Event(), 0, None
        self.source = f"{c.dir}/mine"

    def run(self):
        try:
            while not self.stop.is_set():
                with open(self.source, "wb") as f:
                    f.write(os.urandom(20_000))
                self.c.tool("sxcp", self.source, "@t/mine/file")
                self.rounds += 1
                self.stop.wait(0.2)
        except Exception as error:  # noqa: BLE001 shown by the main thread
            self.error = error

    def end(self):
        self.stop.set()
        self.join()
        if self.error:
            raise self.error
        assert self.rounds > 3, "the uploads hardly got on"


def same(c, name, files):
    for f in files:
        out = f"{c.dir}/out"
        if os.path.exists(out):
            os.unlink(out)
        c.tool("sxcp", f"@t/vol/{name}/{f}", out)
        with open(out, "rb") as a, open(f"{c.dir}/{name}/{f}", "rb") as b:
            assert a.read() == b.read(), f"{f} is not what was put"


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx")
    rng = fault.begin("reclaim")
    slowest = 0.0
    with Cluster("reclaim", nodes=1, settings=SETTINGS) as c:
        space = Space(c)
        c.tool("sxvol", "create", "@t/vol")
        c.tool("sxvol", "create", "@t/mine")
        names = fill(c, rng, "all", FILES)
        full = space.used()
        c.tool("sxrm", "-r", "@t/vol/all/")
        slowest = max(slowest, space.fall_to(f"all of {full >> 20} MiB, put just before", 0))

        names = fill(c, rng, "half", FILES)
        full = space.used()
        gone = set(rng.sample(names, FILES // 2))
        for f in sorted(gone):
            c.tool("sxrm", f"@t/vol/half/{f}")
        dead = full * len(gone) / FILES
        slowest = max(slowest, space.fall_to(f"a random half of {full >> 20} MiB", full - int(HALF_BACK * dead)))
        same(c, "half", [f for f in names if f not in gone])

        uploader = Uploader(c)
        uploader.start()
        before = space.used()
        fill(c, rng, "more", FILES // 2)
        c.tool("sxvol", "remove", "-r", "@t/vol")
        slowest = max(slowest, space.fall_to("a volume, beside uploads", max(before // 10, 4 << 20)))
        uploader.end()
        c.tool("sxrm", "@t/mine/file")
        slowest = max(slowest, space.fall_to("the rest", 0))
        c.tool("sxadm", "node", "check", "--deep", "--dir", c.nodes[0].dir)
    fault.goal("space back within two minutes, four times", 4, 4, f"(the slowest took {slowest:.0f} s)")


if __name__ == "__main__":
    main()
