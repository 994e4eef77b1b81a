# SPDX-License-Identifier: GPL-2.0-or-later
"""Three nodes, replica 3: a real tree of thousands of files goes in and out; then every node in turn is killed -9 with all
its processes, again and again, under load. Everything that was acknowledged is there afterwards, on every node,
and writing goes on within five seconds of each kill.

usage: test_three.py [KILLS]     more kills for a soak"""
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import SMALL, Cluster, need, say  # noqa: E402
from load import GAP_S, Load  # noqa: E402
from sxhttp import quote  # noqa: E402
from test_single import same  # noqa: E402

KILLS = int(sys.argv[1]) if len(sys.argv) > 1 else 6 if SMALL else 21
FILES = 600 if SMALL else 5000
SLOW = 3 if SMALL else 1  # what a sanitizer build may take longer


def make_tree(top):
    """A tree like a real one: names of many lengths, directories of many depths, small files and a few large ones."""
    rng = random.Random(11)
    words = [rng.randbytes(4 + i % 9).hex() for i in range(200)]
    for i in range(FILES):
        folder = os.path.join(top, *words[i % 7:i % 7 + 1 + i % 5], f"dir{i // 100}")
        os.makedirs(folder, exist_ok=True)
        size = rng.choice((0, 300, 2000, 5000, 9000, 20000)) if i % 500 else 3 << 20
        with open(f"{folder}/{words[i % 200]}-{i}.txt", "wb") as f:
            f.write(rng.randbytes(size // 3) + b"The same words in many files. " * (size * 2 // 90))


def names_and_etags(node):
    """Everything that a node lists, as it lists it."""
    client, after, found = node.client(), "", {}
    while True:
        answer = client.request("GET", f"/list/vol?after={quote(after).replace('/', '%2F')}&limit=1000")
        assert answer.status == 200, answer
        page = answer.json()
        found.update({f["path"]: (f["etag"], f["rev"], f["size"]) for f in page["files"]})
        after = page.get("next")
        if not after:
            return found


def copy_tree(c):
    tree = f"{c.dir}/tree"
    make_tree(tree)
    start = time.monotonic()
    c.tool("sxcp", "-r", f"{tree}/", "@t/vol/tree/", timeout=600)
    up = time.monotonic() - start
    c.tool("sxcp", "-r", "@t/vol/tree/", f"{c.dir}/out/", timeout=600)
    same(tree, f"{c.dir}/out")
    say(f"{FILES} files in and out and equal; in at {FILES / up:.0f} files a second")
    return tree


def kill_nodes(c, load):
    gaps = []
    for i in range(KILLS):
        node = c.nodes[i % 3]
        load.wait_progress(10, 30 * SLOW)
        moment = load.mark()
        node.kill()
        load.wait_progress(10, 30 * SLOW)
        gap = load.gap_after(moment)
        gaps.append(gap)
        say(f"kill {i + 1}: {node}; writing went on after {gap:.2f} s")
        assert gap <= GAP_S * SLOW, f"no write was acknowledged for {gap:.1f} s after {node} was killed"
        time.sleep(0.3)
        node.start()
        # A second node may only die when the first is back: two of three are the majority.
        c.wait_healthy(60 * SLOW)
    say(f"{KILLS} kills; the longest pause was {max(gaps):.2f} s")


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx", "tests/lib/sxload")
    with Cluster("three", nodes=3) as c:
        c.tool("sxvol", "create", "--replica", "3", "@t/vol")
        tree = copy_tree(c)
        load = Load(c, "@t/vol/load", threads=3, size_max=2 << 20)
        kill_nodes(c, load)
        load.stop()
        load.verify()
        c.wait_replicated(180 * SLOW)

        lists = [names_and_etags(n) for n in c.nodes]
        assert lists[0] == lists[1] == lists[2], "the nodes do not list the same"
        say(f"all three nodes list the same {len(lists[0])} files")
        for n in c.nodes:
            c.tool("sxadm", "node", "check", "--deep", "--dir", n.dir, timeout=300)
        say("every stored block on every node is sound")
        for n in c.nodes:  # with each node away, the other two have everything
            n.stop()
            load.verify()
            n.start()
            c.wait_healthy(60 * SLOW)
        c.tool("sxcp", "-r", "@t/vol/tree/", f"{c.dir}/out2/", timeout=600)
        same(tree, f"{c.dir}/out2")
        say("the tree is still the same")


if __name__ == "__main__":
    main()
