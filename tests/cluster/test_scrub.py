# SPDX-License-Identifier: GPL-2.0-or-later
"""The scrub finds rot that nobody reads. On a cluster of three the damaged blocks come back from the other nodes; on one
node alone they are named with their files. What the packs can mend in the index is mended from them."""
import glob
import json
import os
import random
import sqlite3
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import SMALL, Cluster, need, say, wait_for  # noqa: E402

FILES = 6 if SMALL else 12
SIZE = 900_000


def fill(c):
    """One file after the other: blocks of file i lie behind those of file i - 1."""
    rng = random.Random(7)
    for i in range(FILES):
        path = f"{c.dir}/in{i}"
        with open(path, "wb") as f:
            f.write(rng.randbytes(SIZE + i))
        c.tool("sxcp", path, f"@t/vol/dir/file{i}")


def read_all(c, but=()):
    for i in range(FILES):
        if i in but:
            continue
        out = f"{c.dir}/out"
        c.tool("sxcp", f"@t/vol/dir/file{i}", out)
        with open(out, "rb") as a, open(f"{c.dir}/in{i}", "rb") as b:
            assert a.read() == b.read(), f"file{i} is not what was put"
        os.unlink(out)


def of(c, node):
    return next(n for n in c.status()["nodes"] if n["id"] == node.id)


def scrub(c, node):
    r = c.tool("sxadm", "node", "scrub", "--now", "--wait", "--json", "--dir", node.dir, check=False)
    return r.returncode, json.loads(r.out)


def rows(node):
    """{id: (shard, pack, at, len)} of the index."""
    found = {}
    for path in glob.glob(f"{node.dir}/store/index/shard-*.db"):
        with sqlite3.connect(path) as db:
            found.update({r[0]: (path, *r[1:]) for r in db.execute("SELECT id, pack, at, len FROM block")})
    return found


def flip(node, pack, at):
    with open(f"{node.dir}/store/packs/{pack:010d}.pack", "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 16]))


def three():
    with Cluster("scrub", nodes=3) as c:
        c.tool("sxvol", "create", "--replica", "3", "@t/vol")
        fill(c)
        c.wait_replicated()
        node = c.nodes[1]
        code, first = scrub(c, node)
        assert code == 0 and first["damaged"] == 0 and first["done_ms"] > 0, first
        victims = list(rows(node).values())[:5]
        for _, pack, at, length in victims:
            flip(node, pack, at + length // 2)
        code, second = scrub(c, node)
        assert second["damaged"] == len(victims), second
        wait_for("the damaged blocks to be fetched anew", 30, lambda: of(c, node)["bad"] == 0, every=0.3)
        assert of(c, node)["transfer"]["fetched"] >= len(victims)
        assert of(c, node)["scrub"][0]["damaged"] == len(victims)
        assert c.tool("sxadm", "node", "check", "--deep", "--dir", node.dir).returncode == 0
        read_all(c)
        text = c.tool("sxadm", "cluster", "status", "@t").out
        assert "LAST SCRUB" in text and "LOST" not in text, text
        c.wait_healthy()
        say(f"{len(victims)} damaged blocks were found by the scrub and replaced from other nodes")


def alone():
    with Cluster("scrub1", nodes=1) as c:
        c.tool("sxvol", "create", "@t/vol")
        fill(c)
        node = c.nodes[0]
        scrub(c, node)  # so that no round is under way
        before = rows(node)
        id_, (path, *_) = next(iter(before.items()))
        with sqlite3.connect(path, timeout=30) as db:
            db.execute("UPDATE block SET at = at + 100 WHERE id = ?", (id_,))
        code, found = scrub(c, node)
        assert found["mended"] >= 1 and of(c, node)["bad"] == 0, found
        assert rows(node)[id_] == before[id_]
        read_all(c)
        wait_for("the sweep to see that nothing is missing", 60, lambda: c.status()["lost"] == 0, every=0.3)
        say("a row that pointed at the wrong place was put right from the packs")

        last = max(before.values(), key=lambda r: (r[1], r[2]))
        flip(node, last[1], last[2] + 1000)
        code, found = scrub(c, node)
        assert code == 4 and found["damaged"] >= 1, (code, found)
        wait_for("the loss to be told", 30, lambda: c.status()["lost"] == 1, every=0.3)
        assert c.status()["health"] == "degraded"
        assert "LOST:             1 blocks" in c.tool("sxadm", "cluster", "status", "@t").out
        name = f"vol/dir/file{FILES - 1}"
        with open(f"{node.dir}/log/sx.log") as f:
            assert name in "".join(line for line in f if "damaged:" in line), name
        read_all(c, but=(FILES - 1,))
        say("with no other node the loss is counted, shown, and the file is named")
        check(c, node, name)

        c.tool("sxcp", f"{c.dir}/in{FILES - 1}", "@t/" + name)  # the user has it still
        wait_for("the loss to be over", 30, lambda: c.status()["lost"] == 0 and of(c, node)["bad"] == 0, every=0.3)
        read_all(c)
        assert c.tool("sxadm", "node", "check", "--deep", "--dir", node.dir).returncode == 0
        say("an upload of the same content mends it")


def check(c, node, name):
    """sxadm node check beside the running node, and on the stopped one."""
    for words in (["--deep"], [], ["--sample", "100%", "--rate", "100M"]):
        r = c.tool("sxadm", "node", "check", *words, "--json", "--dir", node.dir, check=False)
        j = json.loads(r.out)
        assert r.returncode == 5 and j["result"] == "lost", (r.returncode, r.out)
        assert [f"{f['volume']}/{f['path']}" for f in j["files"]] == [name] and j["files_total"] == 1, j
    pack = max(r[1] for r in rows(node).values())
    r = c.tool("sxadm", "node", "verify", str(pack), "--json", "--dir", node.dir, check=False)
    j = json.loads(r.out)
    assert r.returncode == 4 and j["holes"] == 1 and j["lost"] == 1 and j["indexed"], j
    node.stop()
    r = c.tool("sxadm", "node", "check", "--deep", "--dir", node.dir, check=False)
    assert r.returncode == 5 and name in r.out, r.out
    before = len(rows(node))
    j = json.loads(c.tool("sxadm", "node", "rebuild-index", "--json", "--dir", node.dir).out)
    assert j["blocks"] == before - 1, j  # the damaged one has no row now, and is missing
    r = c.tool("sxadm", "node", "check", "--dir", node.dir, check=False)
    assert r.returncode == 5 and name in r.out, r.out
    node.start()
    wait_for("the node", 30, lambda: of(c, node)["up"], every=0.3)
    say("sxadm node check tells the loss and the file, on the running node and on the stopped one; so does it after rebuild-index")


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx")
    three()
    alone()


if __name__ == "__main__":
    main()
