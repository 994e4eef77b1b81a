# SPDX-License-Identifier: GPL-2.0-or-later
"""Damage (R1 of the fault catalogue): three nodes, replica 3; one is killed, one structure of its directory is damaged (one
flipped bit, a page of zeroes, cut in half, swapped with another of its kind, an older copy), and it is started again. No
node may give a wrong byte: metadata, lists and records of every file are compared as the damaged node itself gives
them, and the whole tree is read through the cluster. In the end the damage is mended, or the node says which file is bad.

usage: test_damage.py [KIND [DAMAGE]]     one pair, or one kind"""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import fault  # noqa: E402
import sxhttp  # noqa: E402
from cluster import BUILD, Cluster, need, say, wait_for  # noqa: E402
from sxhttp import quote  # noqa: E402

FILES, PAGE = 120, 4096  # their rows fill several pages
START_S = 25
ENTRY, TICKET = 36, 16
SETTINGS = {"collect_interval_s": 3600}

CLEAN = "clean mark"
BENEATH = "metadata database beneath its newer log"

# kind → (files of the node, where in the file: a share of its length, a byte, or wherever some bytes are)
KINDS = {
    "pack header": ("store/packs/*.pack", 20),
    "record header": ("store/packs/*.pack", 64 + 12),
    "record payload": ("store/packs/*.pack", 0.5),
    "index shard": ("store/index/shard-*.db", 0.6),
    "index shard log": ("store/index/shard-*.db-wal", 0.5),
    "table of packs": ("store/index/packs.db", 0.6),
    "table of packs, log": ("store/index/packs.db-wal", 0.5),
    "floor": ("store/floor", 6),
    CLEAN: ("store/clean", 0),
    "queue": ("queue/queue.db", 0.6),
    "metadata page": ("meta/group-0.db", b"file-05"),
    BENEATH: ("meta/group-0.db", 0),
    "metadata log": ("meta/group-0.db-wal", 0.5),
    "consensus log, head": ("meta/wal/wal-*", 20),
    "consensus log, middle": ("meta/wal/wal-*", "middle"),
    "consensus log, tail": ("meta/wal/wal-*", "tail"),
    "vote": ("meta/group-0.vote", 24),
    "settings": ("node.json", 0.3),
}
DAMAGES = ("bit", "zero", "cut", "swap", "stale")


def places(path, where):
    size = os.path.getsize(path)
    if isinstance(where, float):
        return [int(size * where)]
    if isinstance(where, int):
        return [min(where, max(size - 1, 0))]
    with open(path, "rb") as f:
        data = f.read()
    if isinstance(where, bytes):
        return [m.start() + 1 for m in re.finditer(re.escape(where), data)]
    used = len(data.rstrip(b"\0"))  # of the records that are there
    return [used - 30 if where == "tail" else (PAGE + used) // 2]


def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)
        f.seek(at)
        f.write(bytes([byte[0] ^ 0x10]) if byte else b"\x10")


def zero(path, at):
    size, begin = os.path.getsize(path), at // PAGE * PAGE
    with open(path, "r+b") as f:
        f.seek(begin)
        f.write(bytes(min(PAGE, size - begin)))


def swap(path, others):
    """False: there is no other of its kind."""
    other = next((o for o in others if o != path), None)
    if not other:
        return False
    os.rename(path, path + ".x")
    os.rename(other, path)
    os.rename(path + ".x", other)
    return True


class Wrong(BaseException):
    """A wrong byte was given out: nothing that waits may take it for a hitch."""


class Test:
    def __init__(self, c, rng):
        self.c, self.rng, self.node = c, rng, c.nodes[2]
        self.old, self.base = f"{c.dir}/old", f"{c.dir}/base"
        self.tree, self.right = f"{c.dir}/tree", None

    # -- states of all nodes ----------------------------------------------------------------------

    def kill(self):
        for n in self.c.nodes:
            n.kill()

    def stop(self):
        for n in self.c.nodes:
            n.stop()

    def save(self, to):
        for n in self.c.nodes:
            shutil.copytree(n.dir, f"{to}/{n.number}", ignore=lambda d, names: [
                x for x in names if not os.path.isfile(f"{d}/{x}") and not os.path.isdir(f"{d}/{x}")])

    def restore(self):
        for n in self.c.nodes:
            shutil.rmtree(n.dir)
            shutil.copytree(f"{self.base}/{n.number}", n.dir)

    def prepare(self):
        """Two states, an older one of nodes that were stopped, a newer one of nodes that were killed."""
        os.mkdir(self.tree)
        self.put(0, FILES // 2)
        self.c.wait_replicated()
        self.stop()
        self.save(self.old)
        for n in self.c.nodes:
            n.start()
        self.c.wait_healthy()
        self.put(FILES // 2, FILES)
        self.c.wait_replicated()
        self.stop()  # SQLite's logs go into the databases
        for n in self.c.nodes:
            n.start()
        self.c.wait_healthy()
        self.c.tool("sxcp", f"{self.tree}/file-06", "@t/other/")  # in SQLite's logs, most rows are not
        self.c.wait_replicated()
        self.right = self.read(self.c.nodes[0])
        self.kill()
        self.save(self.base)

    def put(self, begin, end):
        for i in range(begin, end):
            with open(f"{self.tree}/file-{i:02}", "wb") as f:
                f.write(self.rng.randbytes(self.rng.choice((0, 100, 100, 5000)) if i % 3 else 200_000))
        self.c.tool("sxcp", "-r", f"{self.tree}/", "@t/vol/")

    # -- what a node gives ------------------------------------------------------------------------

    def read(self, node):
        """{path: (metadata, entries, records)} as the node itself gives it; None: it gave an error."""
        client = node.client(timeout=20)
        a = client.request("GET", "/list/vol")
        if a.status != 200:
            return self.an_error(a)
        found = {}
        for f in a.json()["files"]:
            found[f["path"]] = (f, *(self.read_file(client, f["path"]) or (None, None)))
        return found

    @staticmethod
    def an_error(a):
        if a.status < 500:
            raise Wrong(f"not an error of the server, but {a}")

    def read_file(self, client, path):
        a = client.request("GET", f"/files/vol/{quote(path)}")
        if a.status != 200:
            return self.an_error(a)
        head, data = sxhttp.parse_message(a.body)
        n = head["count"]
        entries = [data[i * (ENTRY + TICKET):][:ENTRY] for i in range(n)]
        records = data[n * (ENTRY + TICKET):]
        if head["records"] == 0 and n:
            tickets = b"".join(data[i * (ENTRY + TICKET):][:32] + data[i * (ENTRY + TICKET) + ENTRY:][:TICKET]
                               for i in range(n))
            b = client.request("POST", "/blocks/get", sxhttp.message(
                {"expires_ms": head["expires_ms"], "count": n}, tickets))
            records = b.body if b.status == 200 else self.an_error(b)
        facts = {k: v for k, v in head.items() if k not in ("expires_ms", "records")}
        return (facts, entries), records

    def compare(self, node):
        """No wrong byte from this node; True: everything is there."""
        found, whole = self.read(node), True
        if found is None:
            return False
        if set(found) != set(self.right):
            raise Wrong(f"{node} lists other files: {sorted(set(found) ^ set(self.right))}")
        for path, (listed, facts, records) in self.right.items():
            got = found[path]
            if got[0] != listed or got[1] not in (None, facts):
                raise Wrong(f"{node} gives wrong metadata of {path}: {got[:2]}, not {(listed, facts)}")
            if got[2] is not None and got[2] != records and not self.lacks(got[2], records):
                raise Wrong(f"{node} gives wrong records of {path}")
            whole = whole and got[1] == facts and got[2] == records
        return whole

    @staticmethod
    def lacks(got, records):
        """Only records that are not there, no wrong ones: a record of the length 0 stands for one of them."""
        return len(got) < len(records)

    # -- one pair ---------------------------------------------------------------------------------

    def read_tree(self):
        """The others can serve everything: a client does not give up at what the damaged node says."""
        shutil.rmtree(f"{self.c.dir}/out", ignore_errors=True)
        self.c.tool("sxcp", "-r", "@t/vol/", f"{self.c.dir}/out/")

    def mark_clean(self, name):
        with open(f"{self.node.dir}/{name}", "w"):
            return name

    def damage(self, kind, how):
        """Damages one file; its name below the node's directory, or None if there is none to damage so."""
        pattern, where = KINDS[kind]
        if kind == BENEATH and how != "stale":
            return None
        if kind == CLEAN:  # the only damage of an empty file: it is there though the store was not closed
            return self.mark_clean(pattern) if how == "stale" else None
        paths = sorted(glob.glob(f"{self.node.dir}/{pattern}"))
        if not paths:
            return None
        path = max(paths, key=os.path.getsize) if isinstance(where, float) else paths[0]
        at, size = places(path, where), os.path.getsize(path)
        if how == "bit":
            for a in at:
                flip(path, a)
        elif how == "zero" and size:
            for a in at:
                zero(path, a)
        elif how == "cut" and size:
            os.truncate(path, at[0])
        elif how == "swap":
            if not swap(path, paths):
                return None
        elif how == "stale":
            older = path.replace(self.node.dir, f"{self.old}/{self.node.number}")
            if not os.path.exists(older):
                return None
            shutil.copyfile(older, path)
            if path.endswith("group-0.db") and kind != BENEATH:  # as SQLite leaves it: the older state has no log
                os.unlink(f"{path}-wal")
        else:
            return None
        return os.path.relpath(path, self.node.dir)

    def start(self):
        """Starts all; "whole", or what is said by the damaged node if it does not come to have everything."""
        starts = [subprocess.Popen([f"{BUILD}/sxserver", "start", "--wait", str(START_S), "--dir", n.dir],
                                   env=self.c.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE) for n in self.c.nodes]
        self.c.background = starts
        for s in starts[:2]:
            said = s.communicate()[1].decode(errors="replace")
            assert s.returncode == 0, f"an undamaged node does not start: {said}"
        wait_for("the others", 30, lambda: all(self.compare(n) for n in self.c.nodes[:2]))
        try:
            return wait_for("the node", START_S, lambda: self.state(starts[2]), every=0.3)
        except AssertionError:
            return "does not have everything"
        finally:
            starts[2].kill()
            starts[2].communicate()

    def log(self):
        text = ""
        for name in ("sx.log", "nginx.log"):
            if os.path.exists(f"{self.node.dir}/log/{name}"):
                with open(f"{self.node.dir}/log/{name}", errors="replace") as f:
                    text += f.read()
        return text

    def state(self, starter):
        """"whole", what was said if it will not start, or None: not yet known."""
        if starter.poll() not in (None, 0):
            return "refused: " + starter.stderr.read().decode(errors="replace")
        if "is not started again" in self.log():
            return "refused: " + self.log()
        try:
            whole = self.compare(self.node)
        except OSError:
            whole = False
        return "whole" if whole else None

    def pair(self, kind, how):
        """What came of it, in words."""
        self.restore()
        name = self.damage(kind, how)
        if name is None:
            return None
        os.truncate(f"{self.node.dir}/log/sx.log", 0)
        result = self.start()
        self.read_tree()
        for f in os.listdir(self.tree):
            with open(f"{self.tree}/{f}", "rb") as a, open(f"{self.c.dir}/out/{f}", "rb") as b:
                if a.read() != b.read():
                    raise Wrong(f"{f} differs")
        shutil.rmtree(f"{self.c.dir}/out")
        said = result + self.log()
        if result == "whole":
            return "mended, and named in the log" if names(said, name) else "everything is served"
        assert names(said, name), f"the node does not work and does not say that {name} is damaged: {said[-3000:]}"
        return "refused, naming the file"


def names(said, name):
    """Does the text say which file it is about?"""
    base = os.path.basename(name).removesuffix("-wal")
    return base in said or (base.endswith(".pack") and f"pack {int(base.removesuffix('.pack'))}" in said)


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx")
    rng = fault.begin("damage")
    pairs = [(k, d) for k in KINDS for d in DAMAGES]
    if len(sys.argv) > 1:
        chosen = [p for p in pairs if p[0] == sys.argv[1] and (len(sys.argv) == 2 or p[1] == sys.argv[2])]
    else:
        chosen = rng.sample(pairs, fault.share(len(pairs), 3))
    with Cluster("damage", nodes=3, workers=3, reserved=2, size="1G", settings=SETTINGS) as c:
        for volume in ("vol", "other"):
            c.tool("sxvol", "create", "--replica", "3", f"@t/{volume}")
        t = Test(c, rng)
        t.prepare()
        table, wrong = {}, []
        for kind, how in sorted(chosen, key=pairs.index):
            began = time.monotonic()
            try:
                table[kind, how] = t.pair(kind, how)
            except Wrong as error:
                wrong.append(f"{kind}, {how}: {error}")
                table[kind, how] = "WRONG"
            except AssertionError as error:
                wrong.append(f"{kind}, {how}: {error}")
                table[kind, how] = "UNCLEAR"
            finally:
                t.kill()
            say(f"{kind}, {how}: {table[kind, how]} ({time.monotonic() - began:.1f} s)")
        for w in wrong:
            print("  ", w[:1500])
        done = [k for k, v in table.items() if v]
        fault.goal("damaged structures (kind × damage): 0 wrong bytes, mended or named", len(done) - len(wrong), len(done),
                   f"({json.dumps({v: list(table.values()).count(v) for v in set(table.values()) if v})})")


if __name__ == "__main__":
    main()
