#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures SX against baselines of the same run, and prints a table of ratios.

    SX_BUILDDIR=build tests/bench/sxbench.py [--nodes 1,3] [--size 1024] [--files 2000,20000] [--only NAME,...]

Every figure stands beside a baseline taken in the same minutes on the same machine: writing the same file
with `dd conv=fsync`, and `curl` PUT and GET of it to a plain nginx (its dav module) over TLS.  Read the
ratios; the absolute figures belong to the machine.  Nothing here ever fails a build.

CPU seconds are those of the client (rusage of the child) and of all processes of all nodes (from /proc), per
GiB of user data."""
import argparse
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import cluster as lib  # noqa: E402

MIB = 1 << 20
TICK = os.sysconf("SC_CLK_TCK")


def tree_cpu(roots):
    """CPU seconds of the processes in `roots` and their descendants, ended children included."""
    children, cpu = {}, {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", errors="replace") as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(pid))
        cpu[int(pid)] = sum(map(int, fields[11:15]))
    total, todo, seen = 0, list(roots), set()
    while todo:
        pid = todo.pop()
        if pid not in seen:
            seen.add(pid)
            total += cpu.get(pid, 0)
            todo.extend(children.get(pid, []))
    return total / TICK


class Measure:
    """Wall time, and CPU of client and servers, of one block of code."""

    def __init__(self, roots):
        self.roots = roots

    def __enter__(self):
        self.server = -tree_cpu(self.roots)
        r = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.client = -(r.ru_utime + r.ru_stime)
        self.wall = -time.monotonic()
        return self

    def __exit__(self, *exc):
        self.wall += time.monotonic()
        r = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.client += r.ru_utime + r.ru_stime
        self.server += tree_cpu(self.roots)

    def per_gib(self, gib):
        return f"{self.client / gib:.2f} + {self.server / gib:.2f} = {(self.client + self.server) / gib:.2f}"


class Table:
    def __init__(self):
        self.rows = []

    def add(self, what, value, unit, cpu="", note=""):
        self.rows.append(f"| {what} | {value:,.0f} {unit} | {cpu} | {note} |")
        lib.say(f"{what}: {value:,.0f} {unit}  {cpu}  {note}")

    def markdown(self):
        return "\n".join(["| what | figure | CPU: client + server = sum | against |", "|---|---|---|---|", *self.rows])


def run(*words, **more):
    r = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **more)
    if r.returncode:
        sys.exit(f"{' '.join(words)}: exit {r.returncode}: {r.stderr.decode()[-500:]}")


def make_random(path, mib):
    with open("/dev/urandom", "rb") as src, open(path, "wb") as dst:
        for _ in range(mib):
            dst.write(src.read(MIB))


def make_small(root, count, size=4096):
    rnd = random.Random(count)
    for i in range(count):
        d = f"{root}/d{i // 500:03d}"
        if i % 500 == 0:
            os.makedirs(d)
        with open(f"{d}/f{i:06d}", "wb") as f:
            f.write(rnd.randbytes(size))


class Versions:
    """A tree of text-like files; each version rewrites 2 % of the bytes, as runs of new lines."""

    def __init__(self, root, files=400):
        self.root, self.rnd = root, random.Random(7)
        self.words = [bytes(self.rnd.choices(b"abcdefghijklmnopqrstuvwxyz", k=self.rnd.randint(2, 9)))
                      for _ in range(4000)]
        os.makedirs(root)
        for i in range(files):
            with open(f"{root}/file{i:04d}", "wb") as f:
                f.writelines(self.line() for _ in range(self.rnd.randint(200, 16000)))

    def line(self):
        return b" ".join(self.rnd.choices(self.words, k=10)) + b"\n"

    def edit(self):
        names = sorted(os.listdir(self.root))
        for name in self.rnd.sample(names, len(names) // 10):  # a fifth of a tenth: 2 %
            with open(f"{self.root}/{name}", "rb") as f:
                lines = f.read().splitlines(True)
            n = len(lines) // 5
            at = self.rnd.randrange(len(lines) - n)
            lines[at:at + n] = [self.line() for _ in range(n)]
            with open(f"{self.root}/{name}", "wb") as f:
                f.writelines(lines)

    def size(self):
        return sum(os.path.getsize(f"{self.root}/{n}") for n in os.listdir(self.root))


class PlainNginx:
    """A plain nginx with its dav module over TLS: what HTTP alone can do here; or one with another location, over TLS."""

    def __init__(self, work, tls, address="127.0.0.1", location=None, upstream=""):
        self.dir = f"{work}/plain"
        os.makedirs(f"{self.dir}/data")
        with socket.socket() as s:
            s.bind((address, 0))
            self.port = s.getsockname()[1]
        location = location or f"root {self.dir}/data; dav_methods PUT DELETE;"
        user = "user root;" if os.geteuid() == 0 else ""
        temps = "".join(f"{t}_temp_path {self.dir}/{t};" for t in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(f"{self.dir}/nginx.conf", "w") as f:
            f.write(f"{user} pid {self.dir}/pid; error_log {self.dir}/error.log; worker_processes 2;\n"
                    "events { worker_connections 256; }\n"
                    f"http {{ access_log off; client_max_body_size 0; {temps} client_body_buffer_size 256k; {upstream}\n"
                    f"server {{ listen {address}:{self.port} ssl; ssl_certificate {tls}/node.pem;\n"
                    f"ssl_certificate_key {tls}/node.key;\n"
                    f"location / {{ {location} }} }} }}\n")
        run(shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"), "-c", f"{self.dir}/nginx.conf")
        with open(f"{self.dir}/pid") as f:
            self.pid = int(f.read())
        self.url = f"https://{address}:{self.port}/x"

    def stop(self):
        os.kill(self.pid, signal.SIGTERM)
        lib.wait_for("nginx to end", 10, lambda: lib.stat_of(self.pid) is None)


class Bench:
    def __init__(self, work, mib):
        self.work, self.mib, self.gib, self.table = work, mib, mib / 1024, Table()
        self.data = f"{work}/data"
        self.baseline = {}

    def baselines(self, tls):
        plain = PlainNginx(self.work, tls)
        out = f"{self.work}/out"
        try:
            for name, what, roots, words in (
                    ("dd", "dd conv=fsync", [], ["dd", f"if={self.data}", f"of={out}", "bs=1M", "conv=fsync"]),
                    ("put", "curl PUT to plain nginx, TLS, no fsync", [plain.pid],
                     ["curl", "-sSfk", "-T", self.data, plain.url]),
                    ("get", "curl GET from plain nginx, TLS", [plain.pid],
                     ["curl", "-sSfk", "-o", out, plain.url])):
                with Measure(roots) as m:
                    run(*words)
                self.baseline[name] = self.mib / m.wall
                self.table.add(f"baseline: {what}", self.mib / m.wall, "MiB/s", m.per_gib(self.gib))
            os.unlink(out)
        finally:
            plain.stop()

    def copy(self, c, *words):
        with Measure([p for n in c.nodes for p in n.processes()]) as m:
            c.tool("sxcp", *words, timeout=1800)
        return m

    def large(self, c, label, replica):
        c.tool("sxvol", "create", "--replica", replica, "@t/big")
        m = self.copy(c, self.data, "@t/big/one")
        first = self.mib / m.wall
        self.table.add(f"{label}: upload, incompressible", first, "MiB/s", m.per_gib(self.gib),
                       f"{first / self.baseline['dd']:.2f} × dd, {first / self.baseline['put']:.2f} × curl PUT")
        first_cpu = m.client + m.server
        m = self.copy(c, self.data, "@t/big/two")
        again = self.mib / m.wall
        self.table.add(f"{label}: upload of the same content again", again, "MiB/s", m.per_gib(self.gib),
                       f"{again / first:.1f} × as fast as first, {first_cpu / (m.client + m.server):.1f} × less CPU")
        m = self.copy(c, "@t/big/one", f"{self.work}/down")
        rate = self.mib / m.wall
        self.table.add(f"{label}: download, every block verified", rate, "MiB/s", m.per_gib(self.gib),
                       f"{rate / self.baseline['get']:.2f} × curl GET")
        run("cmp", self.data, f"{self.work}/down")
        os.unlink(f"{self.work}/down")

    def small(self, c, label, replica, count):
        src, down, volume = f"{self.work}/small", f"{self.work}/small.down", f"@t/small{count}"
        make_small(src, count)
        c.tool("sxvol", "create", "--replica", replica, volume)
        # To a tmpfs, too: file systems differ much in what making a small file costs them.
        fast = tempfile.mkdtemp(prefix="sxbench.", dir="/dev/shm")
        for what, words in (("up", [f"{src}/", f"{volume}/"]), ("up again, unchanged", [f"{src}/", f"{volume}/"]),
                            ("down, to a tmpfs", [f"{volume}/", f"{fast}/"]),
                            ("down, to disk", [f"{volume}/", f"{down}/"])):
            m = self.copy(c, "-r", *words)
            self.table.add(f"{label}: {count:,} files of 4 KiB {what}", count / m.wall, "files/s",
                           f"{1e6 * m.client / count:.0f} + {1e6 * m.server / count:.0f} µs a file")
        run("diff", "-r", src, down)
        for tree in (src, down, fast):
            shutil.rmtree(tree)

    def versions(self, c, label, replica):
        c.tool("sxvol", "create", "--replica", replica, "@t/versions")
        tree, total = Versions(f"{self.work}/versions"), 0
        before = sum(n["used"] for n in c.status()["nodes"])
        for number in range(10):
            total += tree.size()
            c.tool("sxcp", "-r", f"{tree.root}/", f"@t/versions/v{number}/", timeout=600)
            tree.edit()
        stored = sum(n["used"] for n in c.status()["nodes"]) - before
        self.table.add(f"{label}: ten versions of a tree with 2 % edits, on disk", stored / MIB, "MiB", "",
                       f"1/{total / stored:.1f} of the {total / MIB:,.0f} MiB of all versions")
        shutil.rmtree(tree.root)


def machine():
    with open("/proc/cpuinfo") as f:
        model = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), "?")
    with open("/proc/meminfo") as f:
        memory = int(f.readline().split()[1]) / MIB
    with open("/etc/os-release") as f:
        system = next(line.split("=", 1)[1].strip().strip('"') for line in f if line.startswith("PRETTY_NAME"))
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB of memory, {system}, Linux {os.uname().release}"


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--nodes", default="1,3", help="cluster sizes")
    p.add_argument("--size", type=int, default=1024, help="MiB of the large file")
    p.add_argument("--files", default="2000,20000", help="numbers of small files")
    p.add_argument("--only", default="large,small,versions")
    p.add_argument("--work", default="/var/tmp", help="where all data goes (a disk, not a tmpfs)")
    a = p.parse_args()
    work = tempfile.mkdtemp(prefix="sxbench.", dir=a.work)
    os.chmod(work, 0o755)
    os.environ["SX_TEST_DIR"] = work
    bench, only = Bench(work, a.size), a.only.split(",")
    try:
        make_random(bench.data, a.size)
        for n in map(int, a.nodes.split(",")):
            replica = min(n, 3)
            label = "one node" if n == 1 else f"{n} nodes, {replica} copies"
            with lib.Cluster("bench", nodes=n, workers=16, reserved=8, size="64G") as c:
                if not bench.baseline:
                    bench.baselines(f"{c.nodes[0].dir}/tls")
                if "large" in only:
                    bench.large(c, label, str(replica))
                if "small" in only:
                    for count in map(int, a.files.split(",")):
                        bench.small(c, label, str(replica), count)
                if "versions" in only:
                    bench.versions(c, label, str(replica))
        print(f"\n{machine()}\n\n{bench.table.markdown()}")
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
