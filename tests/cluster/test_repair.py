# SPDX-License-Identifier: GPL-2.0-or-later
"""What block transfer is for: a node that was away while others wrote, a node that lost its disk, a node whose disk rots,
a node that lost its index. Each time every block is on every node again by itself, and no reader ever sees a wrong byte."""
import glob
import os
import random
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import SMALL, Cluster, need, say, wait_for  # noqa: E402

FILES = 10 if SMALL else 40
SIZE = 700_000


def make_tree(top, seed):
    rng = random.Random(seed)
    os.makedirs(top)
    for i in range(FILES):
        with open(f"{top}/file{i}", "wb") as f:
            f.write(rng.randbytes(SIZE + i))


def equal(a, b):
    for name in os.listdir(a):
        with open(f"{a}/{name}", "rb") as x, open(f"{b}/{name}", "rb") as y:
            assert x.read() == y.read(), f"{b}/{name} is not {a}/{name}"


class Test:
    def __init__(self, c):
        self.c, self.trees, self.outs = c, [], 0

    def put(self, seed):
        tree = f"{self.c.dir}/tree{seed}"
        make_tree(tree, seed)
        self.c.tool("sxcp", "-r", f"{tree}/", f"@t/vol/tree{seed}/")
        self.trees.append(seed)

    def read_all(self):
        for seed in self.trees:
            self.outs += 1
            out = f"{self.c.dir}/out{self.outs}"
            self.c.tool("sxcp", "-r", f"@t/vol/tree{seed}/", f"{out}/")
            equal(f"{self.c.dir}/tree{seed}", out)
            shutil.rmtree(out)

    def of(self, node):
        return next(n for n in self.c.status()["nodes"] if n["id"] == node.id)

    def same_everywhere(self):
        def same():
            s = self.c.healthy()
            counts = s and {n["blocks"] for n in s["nodes"]}
            return counts and len(counts) == 1 and counts.pop() >= FILES
        self.c.wait_replicated()
        wait_for("the same blocks on all nodes", 60, same, every=0.3)

    def sound(self, node):
        r = self.c.tool("sxadm", "node", "check", "--deep", "--dir", node.dir, check=False)
        return r.returncode == 0


def away(t, node):
    node.kill()
    t.put(2)
    node.start()
    t.same_everywhere()
    assert t.sound(node)
    say("a node that was away has what the others wrote meanwhile")


def lost_disk(t, node):
    """A new disk in place of the old one, at the same path, while the node runs."""
    node.kill()
    shutil.rmtree(f"{node.dir}/store")
    os.mkdir(f"{node.dir}/store")
    node.start()
    wait_for("the lost disk in the status", 30, lambda: t.of(node)["devices"][0]["state"] == "out", every=0.3)
    assert "mounted" in t.of(node)["devices"][0]["reason"], t.of(node)["devices"]
    assert t.c.status()["health"] == "degraded"
    t.read_all()
    t.c.tool("sxadm", "node", "remove-device", "--lost", "--dir", node.dir, "1")
    t.c.tool("sxadm", "node", "add-device", "--size", t.c.size, "--dir", node.dir, f"{node.dir}/store")
    t.same_everywhere()
    assert t.of(node)["transfer"]["fetched"] >= FILES
    assert t.sound(node)
    say("a node that lost its blocks has them all again")


def rotten_disk(t, node):
    rng = random.Random(5)
    for path in glob.glob(f"{node.dir}/store/packs/*.pack"):
        with open(path, "r+b") as f:
            size = os.path.getsize(path)
            for _ in range(8 if size > 1 << 20 else 0):
                at = rng.randrange(64, size)
                f.seek(at)
                byte = f.read(1)[0]
                f.seek(at)
                f.write(bytes([byte ^ 1 << rng.randrange(8)]))
    t.read_all()
    assert not t.sound(node), "the check found nothing of the damage"
    wait_for("the damaged blocks to be fetched anew", 60, lambda: t.of(node)["bad"] == 0, every=0.3)
    assert t.of(node)["transfer"]["fetched"] > 0
    assert t.sound(node)
    t.read_all()
    say("damaged blocks were found, never given out, and replaced")


def lost_index(t, node):
    node.stop()
    shutil.rmtree(f"{node.dir}/store/index")
    before = t.of(t.c.nodes[0])["blocks"]
    node.start()
    t.c.wait_healthy()
    wait_for("the index", 30, lambda: t.of(node).get("blocks", 0) >= before, every=0.2)
    assert t.of(node)["transfer"]["fetched"] == 0, "blocks were fetched that lay in the packs"
    assert t.sound(node)
    say("a lost index was made anew from the packs")


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx")
    with Cluster("repair", nodes=3) as c:
        c.tool("sxvol", "create", "--replica", "3", "@t/vol")
        t = Test(c)
        t.put(1)
        t.same_everywhere()
        away(t, c.nodes[2])
        lost_disk(t, c.nodes[1])
        rotten_disk(t, c.nodes[0])
        lost_index(t, c.nodes[2])
        for n in c.nodes:  # each is enough together with one other
            n.stop()
            t.read_all()
            n.start()
            c.wait_healthy()


if __name__ == "__main__":
    main()
