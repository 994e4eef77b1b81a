# SPDX-License-Identifier: GPL-2.0-or-later
"""Garbage collection against uploads of the same content: with leases of a few seconds and a collector that never rests,
threads put, delete and put again the same few contents. A block that a committed file refers to is never
collected; in the end what nothing refers to is gone."""
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import SMALL, Cluster, need, say, wait_for  # noqa: E402

SECONDS = 25 if SMALL else 40
THREADS, CONTENTS = 3, 6
SIZE = 600_000
LEASE_S, INTERVAL_S = 3, 1


def contents(c):
    rng = random.Random(3)
    paths = []
    for i in range(CONTENTS):
        paths.append(f"{c.dir}/content{i}")
        with open(paths[-1], "wb") as f:
            f.write(rng.randbytes(SIZE + i))
    return paths


class Racer(threading.Thread):
    """Puts, reads and deletes files of its own whose content others use too."""

    def __init__(self, c, number, paths, until):
        super().__init__()
        self.c, self.number, self.paths, self.until = c, number, paths, until
        self.rng = random.Random(number)
        self.rounds, self.error, self.kept = 0, None, {}

    def run(self):
        try:
            while time.monotonic() < self.until:
                self.round()
        except Exception as error:  # noqa: BLE001 shown by the main thread
            self.error = error

    def round(self):
        i = self.rng.randrange(CONTENTS)
        uri = f"@t/vol/r{self.number}-{self.rng.randrange(4)}"
        self.c.tool("sxcp", self.paths[i], uri)
        self.kept[uri] = i
        time.sleep(self.rng.random() * 2 * LEASE_S)
        self.check(uri)
        if self.rng.random() < 0.7:
            self.c.tool("sxrm", uri)
            del self.kept[uri]
        self.rounds += 1

    def check(self, uri):
        out = f"{self.c.dir}/out{self.number}"
        if os.path.exists(out):
            os.unlink(out)
        self.c.tool("sxcp", uri, out)
        with open(out, "rb") as a, open(self.paths[self.kept[uri]], "rb") as b:
            assert a.read() == b.read(), f"{uri} is not content {self.kept[uri]}"


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx")
    settings = {"lease_s": LEASE_S, "collect_interval_s": INTERVAL_S}
    with Cluster("gc", nodes=1, settings=settings) as c:
        c.tool("sxvol", "create", "@t/vol")
        paths = contents(c)
        racers = [Racer(c, i, paths, time.monotonic() + SECONDS) for i in range(THREADS)]
        for r in racers:
            r.start()
        for r in racers:
            r.join()
        for r in racers:
            if r.error:
                raise r.error
            for uri in r.kept:
                r.check(uri)
        say(f"{sum(r.rounds for r in racers)} rounds of put, read and delete; every file that should be there is whole")

        for r in racers:
            for uri in r.kept:
                c.tool("sxrm", uri)
        wait_for("all blocks to be collected", 60, lambda: c.status()["nodes"][0]["blocks"] == 0, every=0.5)
        c.tool("sxadm", "node", "check", "--deep", "--dir", c.nodes[0].dir)
        say("what nothing refers to is gone, and the store is sound")


if __name__ == "__main__":
    main()
