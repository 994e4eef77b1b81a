# SPDX-License-Identifier: GPL-2.0-or-later
"""One node: files of every kind go in and come out the same, also after a restart and after kill -9; the second copy of
the same data stores nothing; directories move and go; stop leaves nothing behind."""
import filecmp
import json
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import Cluster, need, say  # noqa: E402

SIZES = [0, 1, 4095, 4096, 4097, 8192, 262143, 262144, 1 << 20, (1 << 20) + 1, (4 << 20) + 7, 20 << 20]


def make_tree(top):
    rng = random.Random(7)
    for i, size in enumerate(SIZES):
        folder = f"{top}/d{i % 3}"
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/file {i} ä%?*", "wb") as f:
            f.write(rng.randbytes(size // 2) + b"text " * (size // 10 + 1))
            f.truncate(size)


def same(a, b):
    compared = filecmp.dircmp(a, b)
    assert not compared.left_only and not compared.right_only, (compared.left_only, compared.right_only)
    for name in compared.common_files:
        assert filecmp.cmp(f"{a}/{name}", f"{b}/{name}", shallow=False), name
    for name in compared.common_dirs:
        same(f"{a}/{name}", f"{b}/{name}")


def check_copy(c, tree, number):
    out = f"{c.dir}/out{number}"
    c.tool("sxcp", "-r", "@t/vol/tree/", f"{out}/")
    same(tree, out)


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx")
    with Cluster("single") as c:
        node, tree = c.nodes[0], f"{c.dir}/tree"
        make_tree(tree)
        c.tool("sxvol", "create", "@t/vol")
        c.tool("sxcp", "-r", f"{tree}/", "@t/vol/tree/")
        check_copy(c, tree, 1)
        say("a tree comes back as it went in")

        before = c.wait_healthy()["nodes"][0]["used"]
        c.tool("sxcp", "-r", f"{tree}/", "@t/vol/again/")
        after = c.wait_healthy()["nodes"][0]["used"]
        assert after - before < 100000, f"a second copy took {after - before} bytes"
        say("a second copy of the same data stores nothing")

        node.server("restart")
        check_copy(c, tree, 2)
        node.kill()
        node.start()
        check_copy(c, tree, 3)
        say("the same after a restart, and after kill -9 of everything")

        c.tool("sxmv", "@t/vol/again/", "@t/vol/moved/")
        assert c.tool("sxls", "-r", "@t/vol/again/", check=False).out == ""
        c.tool("sxrm", "-r", "@t/vol/moved/")
        status = json.loads(c.tool("sxadm", "cluster", "status", "--json", "@t").out)
        assert status["files"] == len(SIZES), status["files"]
        assert c.tool("sxadm", "node", "check", "--deep", "--dir", node.dir).out
        c.tool("sxvol", "remove", "-r", "@t/vol")
        assert c.tool("sxls", "@t").out == ""
        say("directories move and go; the store is sound")

        assert node.server("status").returncode == 0
        node.stop()
        assert node.server("status", check=False).returncode == 3
        assert not node.processes(), node.processes()
        say("stop leaves no process behind")


if __name__ == "__main__":
    main()
