# SPDX-License-Identifier: GPL-2.0-or-later
"""Several devices a node: added under load, full, failing, gone and back, replaced, drained under load. Each time reads and
writes go on, and what is missing comes back from the other nodes."""
import glob
import json
import os
import random
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import SMALL, Cluster, need, say, wait_for  # noqa: E402
from load import Load  # noqa: E402

FILES = 8 if SMALL else 24
SIZE = 600_000


class Test:
    def __init__(self, c):
        self.c, self.node = c, c.nodes[0]
        self.trees = 0

    def adm(self, *words, check=True):
        return self.c.tool("sxadm", "node", words[0], "--dir", self.node.dir, *words[1:], check=check)

    def devices(self):
        return {d["device"]: d for d in json.loads(self.adm("devices", "--json").out)["devices"]}

    def seen(self):
        """The devices as the cluster's status shows them."""
        n = next(n for n in self.c.status()["nodes"] if n["id"] == self.node.id)
        return {d["device"]: d for d in n["devices"]}

    def path(self, name):
        return f"{self.c.dir}/{name}"

    def add(self, name, size="1G"):
        os.mkdir(self.path(name))
        return json.loads(self.adm("add-device", "--json", "--size", size, self.path(name)).out)["device"]

    def put(self):
        self.trees += 1
        rng = random.Random(self.trees)
        os.makedirs(f"{self.c.dir}/tree{self.trees}")
        for i in range(FILES):
            with open(f"{self.c.dir}/tree{self.trees}/f{i}", "wb") as f:
                f.write(rng.randbytes(SIZE))
        self.c.tool("sxcp", "-r", f"{self.c.dir}/tree{self.trees}/", f"@t/vol/tree{self.trees}/")

    def read_all(self):
        for n in range(1, self.trees + 1):
            out = f"{self.c.dir}/out"
            self.c.tool("sxcp", "-r", f"@t/vol/tree{n}/", f"{out}/")
            for name in os.listdir(out):
                with open(f"{out}/{name}", "rb") as x, open(f"{self.c.dir}/tree{n}/{name}", "rb") as y:
                    assert x.read() == y.read(), name
            assert len(os.listdir(out)) == FILES
            shutil.rmtree(out)

    def state(self, device, state):
        wait_for(f"device {device} to be {state}", 20, lambda: self.seen()[device]["state"] == state, every=0.2)


def added_under_load(t, load):
    for name in ("d2", "d3"):
        t.add(name)
        load.wait_progress(20)
    t.put()
    # A device gets its share of what is written, by its size: of few blocks perhaps none at first.
    wait_for("each device to hold blocks", 60, lambda: all(d["blocks"] > 0 for d in t.devices().values()), every=0.2)
    for name in ("d2", "store/packs", "nowhere", ""):
        r = t.adm("add-device", t.node.dir + "/store/packs" if name == "store/packs" else t.path(name), check=False)
        assert r.returncode == 1 and r.err.startswith("sxadm: "), (name, r.err)
    say("devices were added under load, and take their share")


def gone_and_back(t, load):
    t.node.stop()
    os.rename(t.path("d2"), t.path("away"))
    os.mkdir(t.path("d2"))
    t.node.start()
    t.state(2, "out")
    assert "mounted" in t.seen()[2]["reason"] and t.c.status()["health"] == "degraded"
    assert "out" in t.c.tool("sxadm", "cluster", "status").out
    t.read_all()
    t.put()
    load.wait_progress(20)
    assert os.listdir(t.path("d2")) == [], "an empty directory was taken for a device"
    os.rmdir(t.path("d2"))
    os.rename(t.path("away"), t.path("d2"))
    t.state(2, "active")
    t.c.wait_healthy()
    t.read_all()
    say("a device that was not mounted took only itself out, and came back")


def failing(t, load):
    """A disk that refuses new files: root writes everywhere, so the directory of packs becomes a file for it."""
    packs = t.path("d3/packs")
    os.rename(packs, packs + ".away")
    with open(packs, "w"):
        pass
    t.put()
    t.state(3, "failed")
    assert "pack" in t.seen()[3]["reason"], t.seen()
    load.wait_progress(20)
    os.unlink(packs)
    os.rename(packs + ".away", packs)
    t.node.stop()
    t.node.start()
    t.state(3, "failed")  # for good, until the administrator says otherwise
    t.read_all()
    t.adm("set-device", "--writable", "3")
    t.c.wait_healthy()
    t.put()
    say("a device that failed was noted, took nothing more, and is used again when told so")


def dead(t, load):
    blocks = t.devices()[2]["blocks"]
    r = t.adm("remove-device", "--lost", "2", check=False)
    assert r.returncode == 1 and "works" in r.err, r.err
    shutil.rmtree(t.path("d2"))
    t.node.kill()
    t.node.start()
    t.state(2, "out")
    t.adm("remove-device", "--lost", "2")
    new = t.add("new2")
    assert new > 3
    load.wait_progress(20)
    t.c.wait_replicated()

    def count():
        return next(n for n in t.c.status()["nodes"] if n["id"] == t.node.id)["transfer"]["fetched"]
    wait_for(f"some of {blocks} blocks to be fetched", 60, lambda: count() > 0, every=0.2)
    fetched = count()
    t.read_all()
    say(f"a dead device was replaced; {fetched} blocks came from the other nodes")


def drained_under_load(t, load):
    moved = json.loads(t.adm("remove-device", "--json", t.path("d3")).out)
    assert moved["blocks"] > 0 and 3 not in t.devices()
    load.wait_progress(20)
    t.read_all()
    shutil.rmtree(t.path("d3"))
    t.read_all()
    say(f"{moved['blocks']} blocks were moved from a device, under load")


def counted(t):
    """A flipped bit: the check finds the block, and the device is named for it until it is said to be good."""
    t.node.stop()
    pack = max(glob.glob(f"{t.node.dir}/store/packs/*.pack"), key=os.path.getsize)
    with open(pack, "r+b") as f:
        f.seek(os.path.getsize(pack) // 2)
        byte = f.read(1)
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte[0] ^ 4]))
    t.node.start()
    t.adm("check", "--deep", check=False)
    assert t.devices()[1]["errors"]["damaged"] >= 1, t.devices()
    assert t.seen()[1]["errors"]["damaged"] >= 1
    assert "blocks damaged" in t.c.tool("sxadm", "cluster", "status").out
    t.adm("set-device", "--writable", "1")
    assert not any(t.devices()[1]["errors"].values()), t.devices()
    assert "blocks damaged" not in t.c.tool("sxadm", "cluster", "status").out
    say("the errors of a device are counted")


def balanced(t):
    """A device that is added gets its share of the blocks that are there, while they are read."""
    t.adm("set-device", "--size", "100M", "1")
    for _ in range(3 if SMALL else 1):
        t.put()
    before = t.devices()[1]
    t.add("empty", "100M")

    def shared():
        """By chance some more or fewer blocks have the new device as their first: never fewer than a fifth."""
        t.read_all()
        one, two = (t.devices()[d]["blocks"] for d in (1, 2))
        return two >= before["blocks"] / 5 and one + two == before["blocks"]
    wait_for("the blocks to be shared out", 60, shared, every=0.3)
    wait_for("the space of the first to come back", 60,
             lambda: sum(t.devices()[d]["used"] for d in (1, 2)) < before["used"] * 1.2)
    r = t.adm("remove-device", "--rate", "20M", "2")
    assert "moved" in r.out, r.out
    t.read_all()
    say("blocks move to a device that was added")


def full(t):
    """A single node, whose devices are small: 507 when all are full, and it heals."""
    t.adm("set-device", "--size", "4M", "1")
    small = t.add("small", "6M")
    r = None
    for _ in range(20):
        try:
            t.put()
        except AssertionError as error:
            r = str(error)
            break
    assert r and "NoSpace" in r or "space" in r, r
    trees = t.trees - 1
    t.trees = trees
    t.read_all()
    assert all(d["state"] == "active" for d in t.devices().values())
    t.adm("set-device", "--size", "1G", str(small))
    shutil.rmtree(f"{t.c.dir}/tree{trees + 1}")
    t.put()
    t.read_all()
    r = t.adm("remove-device", str(small), check=False)
    assert r.returncode == 1 and "room" in r.err, r.err
    say("full devices are passed over, all full is NoSpace, and more space heals it")


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx")
    with Cluster("devices", nodes=3, settings={"lease_s": 60}) as c:
        c.tool("sxvol", "create", "--replica", "3", "@t/vol")
        c.tool("sxvol", "create", "--replica", "3", "@t/load")
        t = Test(c)
        t.put()
        load = Load(c, "@t/load", threads=2, size_max=200_000)
        added_under_load(t, load)
        gone_and_back(t, load)
        failing(t, load)
        dead(t, load)
        drained_under_load(t, load)
        load.stop()
        c.wait_replicated()
        r = c.tool("sxadm", "node", "check", "--deep", "--dir", t.node.dir, check=False)
        assert r.returncode in (0, 3), r.out + r.err
        counted(t)
    with Cluster("devices", nodes=1) as c:
        c.tool("sxvol", "create", "@t/vol")
        t = Test(c)
        balanced(t)
        full(t)


if __name__ == "__main__":
    main()
