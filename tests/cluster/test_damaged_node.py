# SPDX-License-Identifier: GPL-2.0-or-later
"""Damaged metadata.  While no node has a good copy, each says which files it cannot give, and its status that it is damaged;
the cluster goes on. As soon as one node is good again the others heal by themselves, and nothing is lost. A client gets
all files from a good node, whichever it comes to first. Damage that is there at the start heals in the same way; a node
that is alone stays as it is.  About 20 s."""
import os
import re
import shutil
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import Cluster, need, say, wait_for  # noqa: E402
from sxhttp import parse_files  # noqa: E402

FILES, PAGE = 200, 4096  # one round of three would not meet a damaged node
NAMES = [f"file-{i:03}-whose-name-is-so-long-that-the-rows-fill-many-pages" for i in range(FILES)]
BAD = NAMES[5]  # not on the page that a new file comes to, nor on one that SQLite fills up or empties then


def database(node):
    return f"{node.dir}/meta/group-0.db"


def damage(node, text):
    """One bit of each place where the text is in the node's metadata, while the node does not run."""
    with open(database(node), "r+b") as f:
        places = [m.start() for m in re.finditer(re.escape(text), f.read())]
        for at in places:
            f.seek(at)
            f.write(bytes([text[0] ^ 0x10]))
    assert places, "the rows are not in the database"


def fates(node, names=NAMES):
    """What the node gives of many files: their sizes or the codes of errors."""
    a = node.client().request("POST", "/files/vol/get", {"paths": names, "data": 0})
    assert a.status == 200, a
    return [f["error"]["code"] if "error" in f else f["size"] for f, _ in parse_files(a.body)]


def whole(node):
    return fates(node) == [len(BAD)] * FILES


def up_with_a_leader(c):
    s = c.status()
    return s["leader"] and len(s["nodes"]) == len(c.nodes) and all(n["up"] for n in s["nodes"]) and s


def flags(c):
    return {n["id"]: n["metadata_damaged"] for n in c.status()["nodes"]}


def names_its_damage(node):
    got = fates(node)
    assert "Corrupt" in got and len(BAD) in got and set(got) == {"Corrupt", len(BAD)}, got
    a = node.client().request("GET", f"/files/vol/{BAD}")
    assert (a.status, a.code) == (500, "Corrupt"), a


def put_files(c):
    c.tool("sxvol", "create", "--replica", str(len(c.nodes)), "@t/vol")
    os.mkdir(f"{c.dir}/tree")
    for name in NAMES:
        with open(f"{c.dir}/tree/{name}", "w") as f:
            f.write(name)
    c.tool("sxcp", f"{c.dir}/tree/{BAD}", "@t/vol/")  # first, so that nothing of it is on a last page, where all new rows come
    c.tool("sxcp", "-r", f"{c.dir}/tree/", "@t/vol/")
    for n in c.nodes:
        wait_for("all rows on each node", 30, lambda n=n: whole(n))


def all_damaged(c):
    """Nobody has a good copy; the files of the first node as they were are kept."""
    for n in c.nodes:
        n.stop()  # SQLite's logs go into the databases
    shutil.copyfile(database(c.nodes[0]), f"{c.dir}/good.db")
    for n in c.nodes:
        damage(n, BAD.encode())
        n.start()
    wait_for("all up and a leader", 60, lambda: up_with_a_leader(c))
    for n in c.nodes:
        names_its_damage(n)
    wait_for("the flags", 10, lambda: all(flags(c).values()))
    assert c.status()["health"] == "degraded", c.status()
    said = c.tool("sxadm", "cluster", "status", "@t").out
    assert said.count("METADATA DAMAGED") == len(c.nodes), said
    say("three nodes say which files they cannot give")
    c.tool("sxvol", "create", "--replica", "3", "@t/zz")
    c.tool("sxcp", f"{c.dir}/tree/{NAMES[1]}", "@t/zz/later")


def heal_from_one(c):
    c.nodes[0].stop()
    for suffix in ("-wal", "-shm", ".damaged"):
        if os.path.exists(database(c.nodes[0]) + suffix):
            os.unlink(database(c.nodes[0]) + suffix)
    shutil.copyfile(f"{c.dir}/good.db", database(c.nodes[0]))
    c.nodes[0].start()
    for n in c.nodes:
        wait_for(f"{n} to be whole", 60, lambda n=n: whole(n), every=0.3)
    wait_for("no flag", 30, lambda: flags(c) and not any(flags(c).values()))
    c.wait_healthy()
    for n in c.nodes:
        a = n.client().request("GET", "/files/zz/later")
        assert a.status == 200, a
    say("they healed from the one that is good again, with what was put meanwhile")


def heal_at_start(c):
    """The leader, killed; its first page is gone, so that it cannot even begin."""
    leader = c.status()["leader"]
    node = next(n for n in c.nodes if n.id == leader)
    other = next(n for n in c.nodes if n.id != leader)
    node.kill()
    wait_for("another leader", 30, lambda: c.status(other)["leader"] not in ("", leader))
    c.tool("sxcp", f"{c.dir}/tree/{NAMES[2]}", "@t/zz/without")
    with open(database(node), "r+b") as f:
        f.write(bytes(PAGE))
    if os.path.exists(database(node) + "-wal"):
        os.unlink(database(node) + "-wal")  # it has page 1
    node.start()
    wait_for(f"{node} to be whole", 60, lambda: whole(node), every=0.3)
    c.wait_healthy()
    a = node.client().request("GET", "/files/zz/without")
    assert a.status == 200, a
    with open(f"{node.dir}/log/sx.log", errors="replace") as f:
        assert "waits for a good database" in f.read()
    say("a leader that could not open its database healed at its start")


def heal_under_way(c):
    """The running leader learns of damage while files are put: it gives up the lead, heals, and has what was acknowledged."""
    leader = c.status()["leader"]
    node = next(n for n in c.nodes if n.id == leader)
    acknowledged, stop = [], threading.Event()

    def put():
        while not stop.is_set():
            name = f"during-{len(acknowledged)}"
            if c.tool("sxcp", f"{c.dir}/tree/{NAMES[3]}", f"@t/zz/{name}", check=False).returncode == 0:
                acknowledged.append(name)

    writer = threading.Thread(target=put)
    writer.start()
    try:
        wait_for("files", 30, lambda: len(acknowledged) > 3)
        before = os.stat(database(node)).st_ino
        with open(database(node) + ".damaged", "w"):
            pass
        wait_for("another database", 60, lambda: os.stat(database(node)).st_ino != before)
        had = len(acknowledged)
        wait_for("more files", 60, lambda: len(acknowledged) > had + 3)
    finally:
        stop.set()
        writer.join()
    wait_for("no flag", 30, lambda: not any(flags(c).values()))
    c.wait_healthy()
    for n in c.nodes:
        for name in acknowledged:
            a = n.client().request("GET", f"/files/zz/{name}")
            assert a.status == 200, (n, name, a)
    with open(f"{node.dir}/log/sx.log", errors="replace") as f:
        log = f.read()
    mine, theirs = log.rindex(f"node {node.id} leads"), log.rindex("the manager begins anew with it")
    handed = any(f"node {n.id} leads" in log[mine:theirs] for n in c.nodes if n is not node)
    assert handed, "the leader did not give up the lead first"
    say(f"a running leader healed, {len(acknowledged)} files put meanwhile are there")


def clients(c):
    c.nodes[1].stop()
    damage(c.nodes[1], BAD.encode())
    c.nodes[1].start()
    wait_for("all up and a leader", 60, lambda: up_with_a_leader(c))
    for i in range(3):
        c.tool("sxcp", "-r", "@t/vol/", f"{c.dir}/out{i}/")
        for name in NAMES:
            with open(f"{c.dir}/out{i}/{name}") as f:
                assert f.read() == name, name
    say("a client has all files, whichever node it asks")


def alone():
    with Cluster("damaged1", nodes=1, workers=3, reserved=2, size="1G") as c:
        put_files(c)
        c.nodes[0].stop()
        damage(c.nodes[0], BAD.encode())
        c.nodes[0].start()
        wait_for("the node", 60, lambda: up_with_a_leader(c))
        names_its_damage(c.nodes[0])
        wait_for("the flag", 10, lambda: all(flags(c).values()))
        names_its_damage(c.nodes[0])
        assert c.status()["health"] == "degraded", c.status()
        say("a node that is alone names its damage and goes on")


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx")
    with Cluster("damaged", nodes=3, workers=3, reserved=2, size="1G") as c:
        put_files(c)
        all_damaged(c)
        heal_from_one(c)
        heal_at_start(c)
        heal_under_way(c)
        clients(c)
    alone()


if __name__ == "__main__":
    main()
