# SPDX-License-Identifier: GPL-2.0-or-later
"""A full disk (U1 of the fault catalogue). The whole directory of a node, only its packs, or only its metadata lie on a small file
system that others fill up under load: first below the reserve that the node keeps, then to the last byte. Writes are
refused with 507 and say why; every file can be read; deletes go on as long as the reserve lasts, and collection gives their space
back; when there is space again, writing goes on within 30 seconds, and nothing acknowledged is lost."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import fault  # noqa: E402
from cluster import SMALL, need, say, wait_for  # noqa: E402
from disk import DiskCluster  # noqa: E402
from s3 import Site  # noqa: E402

HEAL_S = 30.0
BELOW_RESERVE = {"": 180 << 20, "store": 40 << 20, "meta": 150 << 20}  # bytes left; below 96 MiB not even deletes
FILE = 300_000


class Full:
    def __init__(self, c, part):
        self.c, self.node, self.part = c, c.nodes[0], part
        self.ballast = f"{c.disk.at}/ballast"
        self.source = f"{c.dir}/source"
        self.written = 0

    def fill(self, left):
        """Another's file takes the space, but for `left` bytes."""
        with open(self.ballast, "ab") as f:
            while True:
                s = os.statvfs(self.c.disk.at)
                n = s.f_bavail * s.f_frsize - left
                if n <= 0 or not self.grow(f, n):
                    return

    @staticmethod
    def grow(f, n):
        at = f.seek(0, os.SEEK_END)
        try:
            os.posix_fallocate(f.fileno(), at, n)
        except OSError:  # the file system wants some for itself
            return n > 1 << 20 and Full.grow(f, n // 2)
        return True

    def empty(self):
        os.unlink(self.ballast)

    def put(self):
        """One small file with a block of its own; (exit status, what was said)."""
        self.written += 1
        with open(self.source, "wb") as f:
            f.write(os.urandom(FILE))
        r = self.c.tool("sxcp", self.source, f"@t/vol/probe{self.written}", check=False)
        return r.returncode, r.err

    def refused(self):
        status, said = self.put()
        assert status != 0, "a write was taken"
        return "no space" in said.lower() or "full" in said.lower() or said

    def status_is_507(self):
        answer = Site(self.c).raw().request("PUT", "/vol/object", os.urandom(FILE))
        assert answer.status == 507 and answer.code == "InsufficientStorage", answer
        if self.part == "store":
            return  # an empty file needs no block
        answer = self.node.client().put_empty("vol", f"empty{self.written}")
        assert answer.status == 507 and answer.code == "NoSpace", answer

    def packs(self):
        folder = f"{self.node.dir}/store/packs"
        return sum(os.path.getsize(f"{folder}/{p}") for p in os.listdir(folder))

    def deletes_and_collects(self):
        before = self.packs()
        self.c.tool("sxrm", "-r", "@t/vol/old/")
        wait_for("the space of what was deleted", 60, lambda: self.packs() < before - FILE, every=0.3)


def one(part, rng):
    with DiskCluster(f"full-{part or 'all'}", "ext4", at=part) as c:
        c.tool("sxvol", "create", "@t/vol")
        f = Full(c, part)
        os.mkdir(f"{c.dir}/old")
        for i in range(8):
            with open(f"{c.dir}/old/{i}", "wb") as out:
                out.write(rng.randbytes(FILE))
        c.tool("sxcp", "-r", f"{c.dir}/old/", "@t/vol/old/")
        writers = c.write()
        wait_for("some load", 30, lambda: c.acknowledged() > 30)
        f.fill(BELOW_RESERVE[part])
        wait_for("a refusal", 30, lambda: f.refused() is True, every=0.2)
        f.status_is_507()
        writers.terminate()  # what a killed client has sent could still take effect while it is looked for
        writers.communicate()
        c.settle()
        f.deletes_and_collects()
        f.fill(0)
        assert f.put()[0] != 0, "a write was taken on a full disk"
        c.settle()
        f.empty()
        began = time.monotonic()
        wait_for("a write", HEAL_S * 2, lambda: f.put()[0] == 0, every=0.2)
        healed = time.monotonic() - began
        c.settle()
        c.tool("sxadm", "node", "check", "--deep", "--dir", f.node.dir)
        say(f"{part or 'all'}: full, refused, read, deleted, collected, full to the last byte, healed after {healed:.1f} s")
        return healed


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx", "tests/lib/sxload")
    fault.own_mounts()
    rng = fault.begin("full")
    parts = ("", "store", "meta") if not SMALL else ("",)
    healed = [one(part, rng) for part in parts]
    fault.goal("disk full (all, packs, metadata): refused with 507, read 100 %, healed within 30 s",
               sum(h <= HEAL_S for h in healed), len(parts), f"(longest {max(healed):.1f} s)")


if __name__ == "__main__":
    main()
