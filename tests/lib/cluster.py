# SPDX-License-Identifier: GPL-2.0-or-later
"""Clusters for tests: real nodes of the build tree on loopback addresses, in a directory of their own.

    with Cluster("name", nodes=3) as c:
        c.tool("sxvol", "create", "@t/v")
        c.nodes[0].kill()

Everything is found by the node's directory, never by name, and everything that was started is ended.
When a test fails, the ends of all logs and the command to repeat it are printed, and the directory is kept
if SX_TEST_KEEP is set.  From a shell: tests/lib/cluster.sh."""
import glob
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sxhttp  # noqa: E402

# Absolute: nodes and tools run in directories of their own.
SOURCE = os.path.abspath(os.environ.get("SX_SRCDIR") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
BUILD = os.path.abspath(os.environ.get("SX_BUILDDIR") or os.getcwd())
SMALL = os.environ.get("SX_TEST_SMALL") == "1"  # sanitizer builds: the same tests, smaller
PORT, PEER_PORT = 8443, 8444
BAD_WORDS = ("AddressSanitizer", "LeakSanitizer", "runtime error:", "assertion", "sx_assert")
NOISE = "Unable to get registers from thread"  # the leak checker met a process that a test was killing
SKIP = 77


ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def end_on_signal(number, _frame):
    """So that clusters are ended when a test is; one signal is enough, and more do not disturb the end."""
    for n in ENDING:
        signal.signal(n, lambda *_: None)
    sys.exit(128 + number)


for ending in ENDING:
    signal.signal(ending, end_on_signal)


def say(*words):
    print(time.strftime("%H:%M:%S"), *words, flush=True)


def skip(why):
    print("SKIP:", why)
    sys.exit(SKIP)


def need(*programs):
    for p in programs:
        if not (os.access(os.path.join(BUILD, p), os.X_OK) or shutil.which(p)):
            skip(f"{p} is not there")


def wait_for(what, seconds, check, every=0.1):
    """Calls check() until it is true; its last exception or value is in the failure."""
    end, last = time.monotonic() + seconds, None
    while True:
        try:
            last = check()
            if last:
                return last
        except Exception as error:  # noqa: BLE001 whatever it is, it is tried again and shown at the end
            last = error
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {what}; last: {last!r}")
        time.sleep(every)


def link(pid, name):
    try:
        return os.readlink(f"/proc/{pid}/{name}")
    except OSError:
        return ""


def stat_of(pid):
    """(name, state, parent) of a process, or None."""
    try:
        with open(f"/proc/{pid}/stat", errors="replace") as f:
            text = f.read()
    except OSError:
        return None
    name, rest = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
    return name, rest[0], int(rest[1])


class Node:
    def __init__(self, cluster, number):
        self.cluster, self.number = cluster, number
        self.dir = f"{cluster.dir}/n{number}"
        self.address, self.port = f"{cluster.net}.{number}", PORT
        self.id = None
        self.env = {}  # besides the cluster's
        self.clock_s = 0  # how far its clock is ahead

    def __repr__(self):
        return f"node {self.number}"

    def read_id(self):
        with open(f"{self.dir}/node.json") as f:
            self.id = json.load(f)["node"]

    def processes(self):
        """{pid: (role, parent)} of all processes of the node; role is the daemon's, or nginx, sxserver."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            if link(pid, "cwd") != self.dir:
                continue
            program = os.path.basename(link(pid, "exe").replace(" (deleted)", "")).removeprefix("lt-")
            s = stat_of(pid)
            if not s or s[1] in "ZX" or program not in ("sx.fcgi", "nginx", "sxserver"):
                continue
            found[int(pid)] = (s[0] if program == "sx.fcgi" else program, s[2])
        return found

    def lasting(self):
        """The same without extra workers, which come and go."""
        return {pid: p for pid, p in self.processes().items() if not p[0].startswith("extra")}

    def pids(self, role):
        """Pids whose role begins with `role`; "nginx master" and "nginx worker" are told apart by their parents."""
        all_ = self.processes()
        if role.startswith("nginx"):
            nginx = {p: parent for p, (r, parent) in all_.items() if r == "nginx"}
            master = [p for p, parent in nginx.items() if parent not in nginx]
            return master if role == "nginx master" else [p for p in nginx if p not in master]
        return [p for p, (r, _) in all_.items() if r.startswith(role)]

    def server(self, *words, check=True):
        return self.cluster.tool("sxserver", *words, "--dir", self.dir, check=check, env=self.env)

    def start(self):
        self.server("start")

    def stop(self):
        self.server("stop")

    def kill(self):
        """kill -9 of everything, the supervisor first, as if the machine had lost its processes at once."""
        for _ in range(50):
            all_ = self.processes()
            if not all_:
                return
            for pid in sorted(all_, key=lambda p: all_[p][0] != "sxserver"):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.02)
        raise AssertionError(f"processes of {self.dir} do not end: {self.processes()}")

    def client(self, key="admin", **more):
        return sxhttp.Client(self.address, self.port, ca=f"{self.cluster.nodes[0].dir}/tls/ca.pem",
                             key=self.cluster.key if key == "admin" else key, clock_s=self.clock_s, **more)


class Cluster:
    def __init__(self, name, nodes=1, workers=6, reserved=3, size="4G", settings=None, options=()):
        self.name, self.workers, self.reserved, self.size = name, workers, reserved, size
        self.settings, self.options, self.count = settings or {}, list(options), nodes
        self.dir = os.path.realpath(tempfile.mkdtemp(prefix=f"sx-{name}-", dir=os.environ.get("SX_TEST_DIR")))
        os.chmod(self.dir, 0o755)
        self.net = f"127.{random.randint(20, 250)}.{random.randint(1, 250)}"
        self.nodes, self.key, self.failed = [], None, False
        self.background = []  # processes of the test itself, ended with the cluster
        self.env = dict(os.environ, SX_LIBEXECDIR=BUILD, SX_DATADIR=f"{SOURCE}/sxhttpd",
                        SX_CONFIG_DIR=f"{self.dir}/config", PATH=f"{BUILD}:{os.environ['PATH']}:/usr/sbin:/sbin")
        os.mkdir(f"{self.dir}/sanitizer")
        for name_ in ("ASAN", "UBSAN"):
            self.env[f"{name_}_OPTIONS"] = (f"log_path={self.dir}/sanitizer/{name_.lower()}:print_stacktrace=1:"
                                            "detect_stack_use_after_return=0:exitcode=99")

    # -- life ------------------------------------------------------------------------------------

    def __enter__(self):
        try:
            self.make()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, value, trace):
        bad = [] if kind else self.check_logs()
        if kind and kind is not SystemExit or bad:
            self.failed = True
            self.report()
        self.end()
        if bad:
            raise AssertionError("; ".join(bad))

    def make(self):
        for _ in range(self.count):  # 0: the test makes them itself
            self.add_node()
        if self.nodes:
            self.wait_healthy()

    def add_node(self, *more, env=None, clock_s=0, by=0):
        """Makes the first node, or one that joins by a token of the node `by`, starts it, and waits for it."""
        node = Node(self, len(self.nodes) + 1)
        node.env.update(env or {})
        node.clock_s = clock_s
        words = ["--address", node.address, "--port", str(PORT), "--peer-port", str(PEER_PORT), "--dir", node.dir,
                 "--size", self.size, "--workers", str(self.workers), "--reserved-workers", str(self.reserved),
                 "--user", "", "--log-level", os.environ.get("SX_TEST_LOG", "info"), "--json", *self.options, *more]
        if self.nodes:
            words += ["--join", self.token(by)]
        else:
            words += ["--name", "t"]
        if self.settings and not self.nodes:
            self.tool("sxsetup", *words, "--no-start", env=node.env)
            self.change_settings(node)
            node.server("start")
        else:
            self.tool("sxsetup", *words, timeout=300, env=node.env)
        node.read_id()
        self.nodes.append(node)
        if len(self.nodes) == 1:
            with open(f"{node.dir}/admin.key") as f:
                self.key = json.load(f)
            self.tool("sxinit", "--batch", "--key-file", f"{node.dir}/admin.key", "--alias", "@t")
        return node

    def change_settings(self, node):
        path = f"{node.dir}/node.json"
        with open(path) as f:
            conf = json.load(f)
        conf.update(self.settings)
        with open(path, "w") as f:
            json.dump(conf, f)
            f.flush()
            os.fsync(f.fileno())

    def token(self, by=0):
        answer = self.nodes[by].client().request("POST", "/tokens", {"ttl_s": 900})
        assert answer.status in (200, 201), answer
        return answer.json()["token"]

    def end(self):
        for process in self.background:
            process.kill()
            process.wait()
        for node in self.nodes + [Node(self, len(self.nodes) + 1)]:
            node.kill()
        if self.failed and os.environ.get("SX_TEST_KEEP"):
            say("kept:", self.dir)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    # -- state -----------------------------------------------------------------------------------

    def status(self, node=None):
        for n in [node] if node else self.nodes:
            try:
                answer = n.client(timeout=15).request("GET", "/status")
            except OSError:
                continue
            if answer.status == 200:
                return answer.json()
        raise AssertionError("no node gives a status")

    def healthy(self):
        s = self.status()
        return (s["health"] == "ok" and len(s["nodes"]) == len(self.nodes) and all(n["up"] for n in s["nodes"])
                and s)

    def wait_healthy(self, seconds=60):
        return wait_for("a healthy cluster", seconds, self.healthy, every=0.3)

    def wait_replicated(self, seconds=120):
        """Until every queue is empty and nothing is missing anywhere."""
        def settled():
            s = self.healthy()
            return s and s["under_replicated"] == 0 and all(
                n["queues"]["replication"] == 0 and n["queues"]["missing"] == 0 for n in s["nodes"]) and s
        return wait_for("empty replication queues", seconds, settled, every=0.5)

    def leader(self):
        """The number of the node that leads, by what it logged last."""
        terms = {}
        for i, n in enumerate(self.nodes):
            with open(f"{n.dir}/log/sx.log", errors="replace") as f:
                for m in re.finditer(r"group 0: term (\d+), node (\w+) leads", f.read()):
                    terms[int(m.group(1))] = m.group(2)
        return next(i for i, n in enumerate(self.nodes) if n.id == terms[max(terms)])

    # -- running things --------------------------------------------------------------------------

    def tool(self, *words, check=True, timeout=120, **more):
        """Runs a program of the build tree; the result has .out and .err as text."""
        program = os.path.join(BUILD, words[0])
        command = [program if os.access(program, os.X_OK) else words[0], *words[1:]]
        r = subprocess.run(command, env=dict(self.env, **more.pop("env", {})), timeout=timeout, stdin=more.pop("stdin", subprocess.DEVNULL),
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
        r.out, r.err = r.stdout.decode(errors="replace"), r.stderr.decode(errors="replace")
        if check and r.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, words))}: exit status {r.returncode}\n{r.out}{r.err}")
        return r

    # -- what to look at -------------------------------------------------------------------------

    def check_logs(self):
        """Complaints of sanitizers and assertions, which no test may leave behind."""
        bad = []
        for path in glob.glob(f"{self.dir}/sanitizer/*"):
            with open(path, errors="replace") as f:
                text = "".join(line for line in f if NOISE not in line)
            if text.strip():
                bad.append(f"{os.path.basename(path)}: {text[:3000]}")
        for path in glob.glob(f"{self.dir}/n*/log/sx.log"):
            with open(path, errors="replace") as f:
                bad += [f"{path}: {line.strip()}" for line in f if any(w in line for w in BAD_WORDS)][:5]
        return bad

    def report(self, lines=40):
        for path in sorted(glob.glob(f"{self.dir}/n*/log/*.log")) + sorted(glob.glob(f"{self.dir}/sanitizer/*")):
            with open(path, errors="replace") as f:
                text = f.readlines()
            print(f"--- end of {path}")
            print("".join(text[-lines:]), end="")
        print(f"--- repeat with: SX_SRCDIR={SOURCE} SX_BUILDDIR={BUILD} SX_TEST_KEEP=1 "
              f"{sys.executable} {' '.join(sys.argv)}", flush=True)


def main():
    """For shell scripts: cluster.py make NODES (prints variables; ends when its standard input is closed)."""
    if len(sys.argv) != 3 or sys.argv[1] != "make":
        sys.exit("usage: cluster.py make NODES")
    with Cluster("shell", nodes=int(sys.argv[2])) as c:
        print(f"SX_TEST_CLUSTER={c.dir}")
        print(f"export SX_CONFIG_DIR={c.env['SX_CONFIG_DIR']} SX_LIBEXECDIR={BUILD} SX_DATADIR={SOURCE}/sxhttpd")
        print(f"export ASAN_OPTIONS='{c.env['ASAN_OPTIONS']}' UBSAN_OPTIONS='{c.env['UBSAN_OPTIONS']}'")
        print(f"PATH={BUILD}:$PATH")
        for n in c.nodes:
            print(f"SX_NODE{n.number}={n.dir} SX_HOST{n.number}={n.address}:{n.port}")
        print("SX_READY=1", flush=True)
        verdict = sys.stdin.read().strip()
        if verdict != "ok":
            c.failed = True
            c.report()


if __name__ == "__main__":
    main()
