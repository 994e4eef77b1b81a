#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures SX as a backup of a tree with ten versions, against restic and borg, in one run on the same data.

    SX_BUILDDIR=build tests/bench/backup.py [--kinds source,system] [--size 1024] [--versions 10] [--runs 1]
                                            [--tools cp,restic,borg,sx,sx-copy,sx-rev]
                                            [--restore DIR] [--report FILE]

All tools save each version, in an order that turns from version to version; then each restores the last one,
checks all it has by reading it, and drops all versions but the last until the space is back.

restic and borg work on a repository in a local directory, which suits them best, with their defaults for chunking
and compression, and with encryption (borg: repokey-blake2).  SX is one node on this machine, reached over TLS:

    sx       a version is a directory: `sxcp -r` of the whole tree into an empty one
    sx-copy  a version is a directory that begins as a copy of the one before: `sxcp -r` inside the cluster (metadata only),
             then of the tree over it; files that are gone from the tree stay
    sx-rev   versions are revisions of the same files (volume with --revisions); files that are gone stay
    cp       cp -a and sync, without history: the baseline

Stored bytes are the sizes of all files of a repository; of a node: packs, index and metadata database.  What has a fixed size
stands apart: the consensus log, SQLite's own logs, and the results of the last 15 minutes' commands.  CPU seconds are those of the client and of all processes of the
node.  Memory is the client's peak; the node's is what its processes use in the end, shared pages counted once."""
import argparse
import glob
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import cluster as lib  # noqa: E402
from sxbench import MIB, machine, tree_cpu  # noqa: E402
from tree import Tree  # noqa: E402

LEASE_S = 2 * 30  # what was uploaded is leased for one to two times lease_s
SETTLED_S = 30  # the space is back when nothing more has come back for so long; thorough compaction waits 10 s for quiet


def database(path, tables=()):
    """Bytes of a SQLite database's pages that are in use, its log included, and those of some tables."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    one = lambda sql, *values: db.execute(sql, values).fetchone()[0] or 0
    used = (one("PRAGMA page_count") - one("PRAGMA freelist_count")) * one("PRAGMA page_size")
    part = sum(one("SELECT sum(pgsize) FROM dbstat WHERE name = ? AND aggregate = 1", t) for t in tables)
    db.close()
    return used, part


class Cost:
    """What some commands took: wall time, CPU of the commands and of servers, peak memory in MiB."""

    def __init__(self):
        self.wall = self.client = self.server = self.peak = 0.0

    def add(self, other):
        self.wall += other.wall
        self.client += other.client
        self.server += other.server
        self.peak = max(self.peak, other.peak)
        return self

    @property
    def cpu(self):
        return self.client + self.server


def run(words, env=None, roots=(), cwd=None):
    """Runs a command that must succeed; its cost, that of the processes in `roots` included."""
    cost, server = Cost(), tree_cpu(roots)
    begin = time.monotonic()
    with tempfile.TemporaryFile() as out:
        p = subprocess.Popen(words, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        _, status, use = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
        cost.wall = time.monotonic() - begin
        if p.returncode:
            out.seek(0)
            sys.exit(f"{' '.join(words)}: exit {p.returncode}: {out.read().decode(errors='replace')[-1500:]}")
    cost.client, cost.peak = use.ru_utime + use.ru_stime, use.ru_maxrss / 1024
    cost.server = tree_cpu(roots) - server
    return cost


def sizes(root, end=""):
    """Bytes of all files below root whose names end so."""
    total = 0
    for folder, _, names in os.walk(root):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size if name.endswith(end) else 0
            except FileNotFoundError:
                pass  # a pack that was compacted meanwhile
    return total


def same(tree, copy, exact):
    r = subprocess.run(["diff", "-r", tree, copy], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = [x for x in r.stdout.splitlines() if exact or not x.startswith(f"Only in {copy}")]
    if lines:
        sys.exit("what was restored is not what was saved:\n" + "\n".join(lines[:20]))


class Copy:
    """cp -a and sync: no history, no dedup; a check is a comparison with the tree."""

    name = "cp"
    exact = True

    def __init__(self, work, tree):
        self.dir, self.tree = f"{work}/{self.name}", tree
        os.mkdir(self.dir)

    def save(self, version):
        shutil.rmtree(f"{self.dir}/tree", ignore_errors=True)
        cost = run(["cp", "-a", self.tree, f"{self.dir}/tree"])
        return cost.add(run(["sync", "-f", self.dir]))

    def again(self):
        return self.save(0)

    def restore(self, version, to):
        return run(["cp", "-a", f"{self.dir}/tree", to])

    def check(self):
        return run(["diff", "-r", self.tree, f"{self.dir}/tree"])

    def forget(self, last):
        return Cost()

    def stored(self):
        return sizes(self.dir)

    def end(self):
        shutil.rmtree(self.dir)


class Restic(Copy):
    name = "restic"

    def __init__(self, work, tree):
        super().__init__(work, tree)
        self.env = dict(os.environ, RESTIC_REPOSITORY=f"{self.dir}/repo", RESTIC_PASSWORD="bench",
                        RESTIC_CACHE_DIR=f"{self.dir}/cache", TMPDIR=self.dir, RESTIC_PROGRESS_FPS="0.1")
        self.restic("init")

    def restic(self, *words):
        return run(["restic", "-q", *words], self.env, cwd=self.tree)

    def save(self, version):
        return self.restic("backup", ".")

    def again(self):
        return self.save(0)

    def restore(self, version, to):
        return self.restic("restore", "latest", "--target", to)

    def check(self):
        return self.restic("check", "--read-data")

    def forget(self, last):
        return self.restic("forget", "--keep-last", "1", "--group-by", "", "--prune")

    def stored(self):
        return sizes(f"{self.dir}/repo")


class Borg(Copy):
    name = "borg"

    def __init__(self, work, tree):
        super().__init__(work, tree)
        self.env = dict(os.environ, BORG_REPO=f"{self.dir}/repo", BORG_PASSPHRASE="bench", BORG_BASE_DIR=f"{self.dir}/base",
                        TMPDIR=self.dir)
        self.count = 0
        self.borg("init", "-e", "repokey-blake2")

    def borg(self, *words, cwd=None):
        return run(["borg", *words], self.env, cwd=cwd or self.tree)

    def save(self, version):
        self.count += 1
        return self.borg("create", f"::a{self.count}", ".")

    def restore(self, version, to):
        os.mkdir(to)
        return self.borg("extract", f"::a{self.count}", cwd=to)

    def check(self):
        return self.borg("check", "--verify-data")

    def forget(self, last):
        return self.borg("prune", "--keep-last", "1").add(self.borg("compact"))

    def stored(self):
        return sizes(f"{self.dir}/repo")


class Sx:
    """One node; a version is a directory."""

    name = "sx"
    exact = True  # a version holds nothing that was not in the tree

    def __init__(self, work, tree):
        self.tree, self.last = tree, 0
        self.cluster = lib.Cluster(f"bench-{self.name}", workers=16, reserved=8, size="64G")
        self.cluster.__enter__()
        self.node, self.touched = self.cluster.nodes[0], time.monotonic()
        try:
            self.run("sxvol", "create", "--revisions", "16", "@t/bak")
        except BaseException:
            self.end()
            raise

    def run(self, program, *words):
        return run([os.path.join(lib.BUILD, program), *words], self.cluster.env, self.node.processes())

    def save(self, version):
        self.last = version
        return self.upload(version)

    def upload(self, version):
        cost = self.run("sxcp", "-r", f"{self.tree}/", f"@t/bak/v{version}/")
        self.touched = time.monotonic()
        return cost

    def again(self):
        return self.upload(self.last)

    def restore(self, version, to):
        return self.run("sxcp", "-r", f"@t/bak/v{version}/", f"{to}/")

    def check(self):
        return self.run("sxadm", "node", "check", "--deep", "--dir", self.node.dir)

    def drop(self, last):
        cost = Cost()
        for v in range(1, last):
            cost.add(self.run("sxrm", "-r", f"@t/bak/v{v}/"))
        return cost

    def forget(self, last):
        """Until the space is back; what was uploaded last may be leased still, which is waited for before."""
        time.sleep(max(0, self.touched + LEASE_S + 1 - time.monotonic()))
        roots = self.node.processes()
        server, begin = tree_cpu(roots), time.monotonic()
        cost = self.drop(last)
        least, at = self.stored(), time.monotonic()
        spent = tree_cpu(roots)
        while time.monotonic() < at + SETTLED_S:
            time.sleep(0.5)
            now = self.stored()
            if now < least:
                least, at, spent = now, time.monotonic(), tree_cpu(roots)
        cost.wall, cost.server = at - begin, spent - server
        return cost

    def stored(self):
        p = self.parts()
        return (p["packs"] + p["index"] + p["metadata"]) * MIB

    def parts(self):
        """Where the bytes are, in MiB.  Only the first three grow with the data."""
        d = self.node.dir
        results = ("op", "sqlite_autoindex_op_1")  # of the commands of the last 15 minutes
        meta, op = database(f"{d}/meta/group-0.db", results)
        index = sum(database(db)[0] for db in glob.glob(f"{d}/store/**/*.db", recursive=True))
        logs = sizes(f"{d}/store", "-wal") + sizes(f"{d}/meta", "-wal")
        return {"packs": sizes(f"{d}/store", ".pack") / MIB, "index": index / MIB, "metadata": (meta - op) / MIB,
                "results of commands": op / MIB, "SQLite's logs": logs / MIB,
                "consensus log": sum(map(os.path.getsize, glob.glob(f"{d}/meta/wal/wal-*"))) / MIB}

    def memory(self):
        """Of the node: proportional sizes of its processes, in MiB."""
        total = 0
        for pid in self.node.processes():
            try:
                with open(f"/proc/{pid}/smaps_rollup") as f:
                    total += sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
            except OSError:
                pass
        return total / 1024

    def end(self):
        self.cluster.__exit__(None, None, None)


class SxCopy(Sx):
    name, exact = "sx-copy", False

    def save(self, version):
        cost = Cost()
        if self.last:
            cost.add(self.run("sxcp", "-r", f"@t/bak/v{self.last}/", f"@t/bak/v{version}/"))
        return cost.add(super().save(version))


class SxRev(Sx):
    name, exact = "sx-rev", False

    def upload(self, version):
        return super().upload(0)

    def restore(self, version, to):
        return super().restore(0, to)

    def drop(self, last):
        return self.run("sxvol", "modify", "--revisions", "1", "@t/bak")


TOOLS = {t.name: t for t in (Copy, Restic, Borg, Sx, SxCopy, SxRev)}
STEPS = ("first", "unchanged", "edits", "restore", "check", "reclaim")
SAYS = {"first": "first backup", "unchanged": "unchanged backup", "edits": "backups after 2 % edits, mean",
        "restore": "restore", "check": "check, every byte read", "reclaim": "drop all but the last, space back"}


class Bench:
    def __init__(self, a, work):
        self.a, self.work, self.tree = a, work, None
        self.costs, self.stored, self.kept, self.facts = {}, {}, {}, {}

    def note(self, tool, step, cost):
        self.costs.setdefault((tool, step), []).append(cost)
        lib.say(f"{tool}: {step}: {cost.wall:.2f} s, CPU {cost.client:.2f} + {cost.server:.2f}, {cost.peak:.0f} MiB")

    def run(self, number):
        tree = Tree(f"{self.work}/tree", self.a.kinds.split(","), self.a.size * MIB, seed=self.a.seed)
        tools, names = {}, self.a.tools.split(",")
        self.facts["tree"] = f"{len(tree.files()):,} files, {tree.size() / MIB:,.0f} MiB"
        try:
            for name in names:
                tools[name] = TOOLS[name](self.work, tree.root)
            run(["sync", "-f", self.work])
            self.versions(tree, tools, number)
            self.rest(tree, tools, number)
        finally:
            for t in tools.values():
                t.end()
            shutil.rmtree(tree.root)

    @staticmethod
    def turned(tools, by):
        names = list(tools)
        by %= len(names)
        return names[by:] + names[:by]

    def versions(self, tree, tools, number):
        edits = {n: [] for n in tools}
        for v in range(1, self.a.versions + 1):
            if v > 1:
                tree.edit()
                run(["sync", "-f", self.work])
            for n in self.turned(tools, v + number):
                if n == "cp" and 1 < v < self.a.versions:
                    continue  # the same each time
                cost = tools[n].save(v)
                if v == 1:
                    self.note(n, "first", cost)
                    self.note(n, "unchanged", tools[n].again())
                else:
                    edits[n].append(cost)
                self.stored[n, v] = tools[n].stored()
            lib.say(f"version {v}: " + ", ".join(f"{n} {self.stored[n, v] / MIB:.1f} MiB" for n in tools
                                                 if (n, v) in self.stored))
        self.facts["last"] = f"{len(tree.files()):,} files, {tree.size() / MIB:,.0f} MiB"
        for n, costs in edits.items():
            if costs:
                mean = Cost()
                for c in costs:
                    mean.add(c)
                mean.wall, mean.client, mean.server = (x / len(costs) for x in (mean.wall, mean.client, mean.server))
                self.note(n, "edits", mean)

    def warm(self, size):
        """A hypervisor may back memory of the guest only when it is touched, and take back what is free: what a restore to a
        tmpfs needs is touched right before it, or tools pay by chance."""
        path, piece = self.target("warm"), os.urandom(MIB)
        with open(path, "wb") as f:
            for _ in range(size // MIB):
                f.write(piece)
        os.unlink(path)

    def rest(self, tree, tools, number):
        for i, step in enumerate(("restore", "check", "reclaim")):
            for n in self.turned(tools, number + i):
                self.note(n, step, self.one(tree, tools[n], step))
            for n in tools:  # not before: ext4 is slow to make files where others were deleted just now
                shutil.rmtree(self.target(n), ignore_errors=True)
        for n, t in tools.items():
            self.kept[n] = t.stored()
            if isinstance(t, Sx):
                self.facts[n] = (", ".join(f"{k} {x:.1f} MiB" for k, x in t.parts().items())
                                 + f"; memory of the node {t.memory():.0f} MiB")
                lib.say(f"{n}: after dropping: {self.facts[n]}")

    def one(self, tree, tool, step):
        if step == "check":
            return tool.check()
        if step == "reclaim":
            if isinstance(tool, Sx):
                lib.say(f"{tool.name}: all versions: " + ", ".join(f"{k} {x:.1f}" for k, x in tool.parts().items()))
            return tool.forget(self.a.versions)
        to = self.target(tool.name)
        if self.a.restore:
            self.warm(tree.size() * 5 // 4)
        cost = tool.restore(self.a.versions, to)
        same(tree.root, to, tool.exact)
        run(["sync", "-f", to])
        return cost

    def target(self, name):
        return f"{self.a.restore or self.work}/{os.path.basename(self.work)}.{name}"

    # -- the report ------------------------------------------------------------------------------

    def median(self, tool, step, what):
        return statistics.median(getattr(c, what) for c in self.costs[tool, step])

    def least(self, tool, step, what):
        return min(getattr(c, what) for c in self.costs[tool, step])

    def others(self):
        return [n for n in self.a.tools.split(",") if n in ("restic", "borg")]

    def report(self):
        names = self.a.tools.split(",")
        lines = [f"The tree: {self.facts['tree']}; after {self.a.versions} versions {self.facts['last']}. Runs: {self.a.runs}.", "",
                 "| seconds: median (least); CPU seconds | " + " | ".join(names) + " | the faster of restic and borg ÷ sx |",
                 "|---" * (len(names) + 2) + "|"]
        for step in STEPS:
            if (names[0], step) not in self.costs:
                continue
            cells = [f"{self.median(n, step, 'wall'):.2f} ({self.least(n, step, 'wall'):.2f}); {self.median(n, step, 'cpu'):.2f}"
                     if self.median(n, step, "wall") else "" for n in names]
            lines.append(f"| {SAYS[step]} | " + " | ".join(cells) + f" | {self.ratio(step)} |")
        lines.append("| peak memory, MiB | " + " | ".join(
            f"{max(self.least(n, s, 'peak') for s in STEPS if (n, s) in self.costs):.0f}" for n in names) + " | |")
        for v in sorted({1, 2, self.a.versions}):
            lines.append(self.stored_row(f"stored after version {v}, MiB", {n: self.stored[n, v] for n in names if (n, v) in self.stored}))
        lines.append(self.stored_row("stored after dropping all but the last, MiB", self.kept))
        return "\n".join(lines + [""] + [f"{n} in the end: {self.facts[n]}" for n in names if n in self.facts])

    def ratio(self, step):
        if not self.others() or "sx" not in self.a.tools.split(","):
            return ""
        best = min(self.median(n, step, "wall") for n in self.others())
        cpu = min(self.median(n, step, "cpu") for n in self.others())
        return f"{best / self.median('sx', step, 'wall'):.2f} (CPU {cpu / self.median('sx', step, 'cpu'):.2f})"

    def stored_row(self, what, bytes_):
        names = self.a.tools.split(",")
        best = min((bytes_[n] for n in self.others()), default=0)
        last = f"sx ÷ the better: {bytes_['sx'] / best:.3f}" if best and "sx" in bytes_ else ""
        return f"| {what} | " + " | ".join(f"{bytes_[n] / MIB:.1f}" if n in bytes_ else "" for n in names) + f" | {last} |"


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--kinds", default="source,system", help="what the tree is made of")
    p.add_argument("--size", type=int, default=1024, help="MiB of the tree, at most")
    p.add_argument("--versions", type=int, default=10)
    p.add_argument("--runs", type=int, default=1)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--tools", default="cp,restic,borg,sx")
    p.add_argument("--work", default="/var/tmp", help="where all data goes (a disk, not a tmpfs)")
    p.add_argument("--restore", help="where to restore to, such as a tmpfs (default: beside the data)")
    p.add_argument("--report", help="write the table to this file, too")
    a = p.parse_args()
    for t in a.tools.split(","):
        if t not in TOOLS:
            p.error(f"there is no tool '{t}'; there are {', '.join(TOOLS)}")
    lib.need(*[t for t in ("restic", "borg") if t in a.tools], "sxcp", "sxsetup", "sx.fcgi", "nginx")
    work = tempfile.mkdtemp(prefix="sxbackup.", dir=a.work)
    os.chmod(work, 0o755)
    os.environ["SX_TEST_DIR"] = work
    bench = Bench(a, work)
    try:
        for number in range(a.runs):
            bench.run(number)
        text = f"{machine()}\n\n{bench.report()}"
        print(f"\n{text}")
        if a.report:
            with open(a.report, "w") as f:
                f.write(text + "\n")
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
