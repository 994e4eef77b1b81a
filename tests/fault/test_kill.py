# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 at every system call that changes something (D1 of the fault catalogue), seen through the whole daemon: one put,
overwrite, delete, and one round of collection with compaction is done again and again, and each time strace kills the
process that does it (worker, group manager, collector) at the n-th of its writes, syncs, renames, unlinks and cuts, for
every n until the operation passes untouched. After each: the dispatcher has started the process anew, the operation took
place wholly or not at all, everything acknowledged before is there; and after a collection nothing of the store needs
mending. (Of the store alone: tests/unit/test_store_kill.c.)"""
import contextlib
import os
import queue
import random
import re
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import fault  # noqa: E402
from cluster import BUILD, SMALL, Cluster, need, say, wait_for  # noqa: E402

CALLS = ("write", "pwrite64", "pwritev", "fsync", "fdatasync", "rename", "unlink", "ftruncate")
WORKER, MANAGER, COLLECTOR = "worker", "group manager", "garbage collect"  # as the kernel cuts it
CLIENT_OPS = ("put", "overwrite", "delete")
KILLS_A_LIFE = 3      # of a node: the dispatcher waits longer before each further restart of a process
LEASE_S = 1
SETTINGS = {"lease_s": LEASE_S, "collect_interval_s": 3600}  # it collects when it is asked to
BIG_SIZE, SMALL_SIZE = 2_300_000, 30_000
CLUSTERS = 1 if SMALL else 4  # at once: most of the time each waits for a lease or for a start
OTHERS = 6
STORE_TRIES = 120    # of test_store_kill.c, unless it tries all
WHOLE_EVERY = 25


class Model:
    """What the files may contain: name → the contents that are right (None: no file)."""

    def __init__(self, c, rng):
        self.c, self.rng, self.files = c, rng, {}

    def content(self, size):
        path = f"{self.c.dir}/in"
        data = self.rng.randbytes(size)
        with open(path, "wb") as f:
            f.write(data)
        return path, data

    def put(self, name, size):
        path, data = self.content(size)
        r = self.c.tool("sxcp", path, f"@t/vol/{name}", check=False)
        self.done(name, data, r)

    def delete(self, name):
        self.done(name, None, self.c.tool("sxrm", f"@t/vol/{name}", check=False))

    def done(self, name, data, r):
        self.files[name] = [data] if r.returncode == 0 else self.files.get(name, [None]) + [data]

    def check(self, name):
        out = f"{self.c.dir}/out"
        if os.path.exists(out):
            os.unlink(out)
        r = self.c.tool("sxcp", f"@t/vol/{name}", out, check=False)
        if r.returncode == 0:
            with open(out, "rb") as f:
                found = f.read()
        else:
            assert "no such file" in r.err, f"{name} cannot be read: {r.err}"
            found = None
        assert any(found == right for right in self.files[name]), \
            f"{name} is none of what it may be ({'nothing' if found is None else len(found)})"
        self.files[name] = [found]

    def check_all(self):
        for name in list(self.files):
            self.check(name)
        self.check_node()

    def check_node(self):
        """Beside the running node, whose collector may be at work: there is nothing to mend."""
        self.c.tool("sxadm", "node", "check", "--deep", "--dir", self.c.nodes[0].dir)


class Kills:
    def __init__(self, c, rng):
        self.c, self.node = c, c.nodes[0]
        self.model = Model(c, rng)
        self.life = self.done = self.untouched = 0
        self.killed = {}
        for i in range(OTHERS):
            self.model.put(f"kept{i}", SMALL_SIZE)

    def pid(self, role):
        """The process of that role that is there and is not being killed."""
        return wait_for(f"a {role}", 15, lambda: self.node.pids(role), every=0.01)[0]

    def alive(self, pid):
        return pid in self.node.processes()

    # -- the operations ---------------------------------------------------------------------------

    def prepare(self, op):
        if op in ("overwrite", "delete"):
            self.model.put("victim", SMALL_SIZE)
        elif op == "put":
            self.model.delete("victim")
        else:
            self.model.put(f"kept{self.done % OTHERS}", SMALL_SIZE)
            self.model.put("big", BIG_SIZE)
            self.model.delete("big")
            self.before = self.packs()
            time.sleep(LEASE_S + 0.1)  # nothing else ends a lease

    def operate(self, op, pid):
        if op in ("put", "overwrite"):
            self.model.put("victim", SMALL_SIZE)
        elif op == "delete":
            self.model.delete("victim")
        else:
            self.collect()
            wait_for("a round of the collector", 30, lambda: not self.alive(pid) or self.collected(), every=0.02)

    def packs(self):
        return set(os.listdir(f"{self.node.dir}/store/packs"))

    def collected(self):
        return self.before - self.packs()

    def collect(self):
        with open(f"{self.node.dir}/run/collect", "w"):
            pass

    def check(self, op):
        if op == "collect":
            self.collect()
            wait_for("the collector to take the request", 30,
                     lambda: not os.path.exists(f"{self.node.dir}/run/collect"), every=0.02)
            self.model.check_node()
            self.model.check(f"kept{self.done % OTHERS}")
        else:
            self.model.check("victim")
        self.done += 1
        if self.done % WHOLE_EVERY == 0:
            self.model.check_all()

    # -- one kill ---------------------------------------------------------------------------------

    def begin_life(self):
        """A node that was started just now restarts what dies at once."""
        if self.life >= KILLS_A_LIFE:
            self.node.kill()
            self.node.start()
            self.life = 0

    def traced(self, op, role, inject):
        while True:
            self.prepare(op)
            pid = self.pid(role)
            tracer = fault.Tracer([pid], inject, f"{self.c.dir}/strace", ",".join(CALLS))
            if op != "collect" or not self.alive(pid) or not self.collected():
                break
            tracer.detach()  # it follows what is deleted by itself, and had done before it was traced
        self.operate(op, pid)
        wait_for("the process to have done", 20, lambda: not self.alive(pid) or tracer.is_quiet())
        return pid, tracer

    def count(self, op, role):
        """How many of each call a thread makes at most: {call: n}."""
        _, tracer = self.traced(op, role, None)
        per = {}
        for pid, call, _, _ in fault.calls(tracer.detach()):
            per[pid, call] = per.get((pid, call), 0) + 1
        most = {}
        for (_, call), n in per.items():
            most[call] = max(most.get(call, 0), n)
        self.check(op)
        return most

    def kill_at(self, op, role, call, n):
        self.begin_life()
        pid, tracer = self.traced(op, role, f"{call}:signal=KILL:when={n}")
        killed = not self.alive(pid)
        tracer.detach()
        if killed:
            self.life += 1
            self.killed[op] = self.killed.get(op, 0) + 1
            self.pid(role)  # the dispatcher has started another
        else:
            self.untouched += 1
        self.check(op)


def all_kills(k):
    """Every (operation, role, call, n), and one n more that the operation should pass."""
    todo = []
    for op in (*CLIENT_OPS, "collect"):
        for role in (WORKER, MANAGER) if op in CLIENT_OPS else (COLLECTOR,):
            counts = k.count(op, role)
            say(f"{op}, {role}:", ", ".join(f"{n} {call}" for call, n in sorted(counts.items())))
            todo += [(op, role, call, n) for call, most in counts.items() for n in range(1, most + 2)]
    return todo


def store_alone():
    """The store's own operations, at every system call."""
    whole = fault.SHARE >= 1
    r = subprocess.run([os.path.join(BUILD, "tests/unit/test_store_kill")], check=False, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, env=dict(os.environ, **({"SX_KILL_ALL": "1"} if whole else {})))
    text = r.stdout.decode(errors="replace")
    assert r.returncode == 0, text
    calls = int(re.search(r"(\d+) calls, seed", text).group(1))
    return calls - 1 if whole else min(calls, STORE_TRIES)


class Worker(threading.Thread):
    """Kills in one of the clusters, as long as there is something in the queue."""

    def __init__(self, k, points):
        super().__init__()
        self.k, self.points, self.error = k, points, None

    def run(self):
        point = None
        try:
            with contextlib.suppress(queue.Empty):
                while True:
                    point = self.points.get_nowait()
                    self.k.kill_at(*point)
            self.k.model.check_all()
        except Exception as error:  # noqa: BLE001 shown by the main thread
            self.error = f"{self.k.c.dir}, at {point}: {error}"
            with contextlib.suppress(queue.Empty):
                while True:
                    self.points.get_nowait()


def kill_all(kills, chosen):
    points = queue.Queue()
    for point in chosen:
        points.put(point)
    workers = [Worker(k, points) for k in kills]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    errors = [w.error for w in workers if w.error]
    assert not errors, "\n".join(errors)


def daemon(rng):
    with contextlib.ExitStack() as stack:
        kills = []
        for _ in range(CLUSTERS):
            c = stack.enter_context(Cluster("kill", workers=1, reserved=1, settings=SETTINGS))
            c.tool("sxvol", "create", "@t/vol")
            kills.append(Kills(c, random.Random(rng.random())))
        todo = all_kills(kills[0])
        chosen = rng.sample(todo, len(todo) if fault.SHARE >= 1 else fault.share(len(todo), 4))
        kill_all(kills, chosen)
        killed = {op: sum(k.killed.get(op, 0) for k in kills) for op in (*CLIENT_OPS, "collect")}
        fault.goal("kill -9 at a system call of the daemon, points with 0 lost and 0 partial", len(chosen), len(chosen),
                   f"(of {len(todo)}; killed: {', '.join(f'{n} {op}' for op, n in killed.items())}; "
                   f"{sum(k.untouched for k in kills)} passed untouched)")


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx")
    fault.need_strace()
    daemon(fault.begin("kill"))
    if os.path.exists(os.path.join(BUILD, "tests/unit/test_store_kill")):
        n = store_alone()
        fault.goal("kill -9 at a system call of the store alone, points with 0 lost", n, n)


if __name__ == "__main__":
    main()
