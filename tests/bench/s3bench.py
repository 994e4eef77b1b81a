#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures the S3 gateway against a plain nginx and, if asked to, Swift of the same run, and prints a table of ratios.

    SX_BUILDDIR=build tests/bench/s3bench.py [--seconds 4] [--concurrency 1,8] [--sizes 4K,1M,64M] [--keys 10000] [--copy 1024] [--swift]
                                          [--first]

PUT and GET of objects over TLS with s3load of the build tree, each connection in a thread of its own that keeps it open and
signs by itself (UNSIGNED-PAYLOAD).  GET reads what was read once before, as far as memory holds it on either side; --first what
was only written, which SX does past the page cache.  The baseline is the same client, which does not sign then, against
nginx's dav module over TLS, which neither computes a hash nor syncs anything; --swift adds OpenStack Swift (swift.py).  CPU is
that of the client, in the timed part alone, apart from that of the servers.
Then a bucket with many keys, listed page by page, and a copy in the server.  Read the ratios; the figures belong to the machine.

What is written is bounded: all of it fits into the store and into half of what is free, and clients delete what they wrote."""
import argparse
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import cluster as lib  # noqa: E402
import swift  # noqa: E402
import sxbench  # noqa: E402
from s3 import MIB, Site  # noqa: E402

LOAD = f"{lib.BUILD}/tests/bench/s3load"
OBJECTS = 16        # at most, a client's own, over and over; in PUT each content is new
STORE_GIB = 64
WRITTEN = 48 << 30  # bytes of all figures together: the store keeps what was overwritten for a while
FOLDER = 500        # keys below one prefix of the bucket to list
AT_ONCE = 8 << 30   # bytes of the objects of all clients at the same time


def size_of(text):
    m = re.fullmatch(r"([1-9]\d*)([KMG])", text)
    if not m:
        raise argparse.ArgumentTypeError(f"'{text}' is no size; write 4K, 1M or 1G")
    return int(m[1]) << {"K": 10, "M": 20, "G": 30}[m[2]]


def sizes_of(text):
    return {t: size_of(t) for t in text.split(",")}


def numbers_of(text):
    if not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", text):
        raise argparse.ArgumentTypeError(f"'{text}' is no list of numbers")
    return [int(t) for t in text.split(",")]


def number_of(text):
    if not re.fullmatch(r"[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 1 on")
    return int(text)


def objects_each(a, size, clients):
    """How many objects of that size each client may write for one figure; 0: not even one."""
    figures = 2 * len(a.sizes) * len(a.concurrency)
    written = min(WRITTEN, shutil.disk_usage(a.work).free // 2)
    return written // figures // (clients * size) if clients * size <= AT_ONCE else 0


def refusal(a):
    """Why the sizes and concurrencies cannot be measured together; None: they can."""
    for text, size in a.sizes.items():
        for clients in a.concurrency:
            if not objects_each(a, size, clients):
                return (f"{clients} clients with objects of {text} write too much: at most {AT_ONCE >> 30} GiB at once, and "
                        f"{WRITTEN >> 30} GiB or half of what is free in {a.work} for all sizes and concurrencies together")
    return None


class Server:
    """What s3load is to load: its options and its environment for the server, and the server's processes."""

    def __init__(self, host, roots, site=None):
        """`site`: signs as its access key, and believes its CA alone."""
        self.options, self.roots = ["--url", f"https://{host}/bucket"], roots
        self.env = dict(os.environ)
        if site:
            self.options += ["--ca", site.ca, "--access", site.access]
            self.env["AWS_SECRET_ACCESS_KEY"] = site.secret


def load(server, *options):
    """What s3load reports."""
    # A signal must not come while the process is half started; in it, it stays blocked: we end it.
    signal.pthread_sigmask(signal.SIG_BLOCK, lib.ENDING)
    p = None
    try:
        p = subprocess.Popen([LOAD, *server.options, *map(str, options)], env=server.env, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, lib.ENDING)
        out, said = p.communicate()
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, lib.ENDING)
        if p:
            p.kill()
            p.wait()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, lib.ENDING)
    if p.returncode:
        raise AssertionError(f"{' '.join(p.args)}: exit status {p.returncode}: {said.decode(errors='replace')}")
    return json.loads(out)


def measure(server, method, size, clients, seconds, limit, first):
    """(requests a second, client's CPU, servers' CPU, in µs a request)"""
    most = min(OBJECTS, limit, AT_ONCE // (clients * size))  # that it writes again and again, or reads
    cpu = -sxbench.tree_cpu(server.roots())
    got = load(server, "--method", method, "--size", size, "--connections", clients, "--seconds", seconds, "--most", most,
               "--limit", limit, *(["--first"] if first else []))
    cpu += sxbench.tree_cpu(server.roots())
    n = got["requests"]
    # What a GET put before and a client deleted after counts for the server too.
    return n / got["seconds"], 1e6 * got["cpu"] / n, 1e6 * cpu / n


def transfers(a, servers):
    """One row a figure: all servers, the first of them beside each of the others."""
    rows = []
    for text, size in a.sizes.items():
        for clients in a.concurrency:
            for method in ("PUT", "GET"):
                limit = objects_each(a, size, clients)
                got = [measure(s, method, size, clients, a.seconds, limit, a.first) for s in servers.values()]
                cells = [f"{method} {text}, {clients} at once"]
                cells += [f"{g[0]:,.1f}/s, {g[0] * size / MIB:,.0f} MiB/s" for g in got]
                cells += [f"{got[0][0] / g[0]:.2f}" for g in got[1:]]
                cells += [f"{g[1]:,.0f} + {g[2]:,.0f}" for g in got]
                rows.append(f"| {' | '.join(cells)} |")
                lib.say(rows[-1])
    names = list(servers)
    head = ["what", *names, *(f"{names[0]} / {n}" for n in names[1:]), *(f"CPU of {n}, µs: client + server" for n in names)]
    return [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *rows]


def listing(site, c, keys):
    """Keys by the native batch of small files; then all pages of 1,000."""
    top = f"{c.dir}/many"
    for d in range(0, keys, FOLDER):
        os.makedirs(f"{top}/d{d // FOLDER:05}")
        for i in range(min(FOLDER, keys - d)):
            with open(f"{top}/d{d // FOLDER:05}/f{i:05}", "wb") as f:
                f.write(b"%d %d" % (d // FOLDER, i))
    c.tool("sxvol", "create", "--replica", "1", "@t/many")
    c.tool("sxcp", "-r", "--quiet", f"{top}/", "@t/many/", timeout=1800)
    shutil.rmtree(top)
    raw, times, found, after = site.raw(), [], 0, ""
    while True:
        start = time.monotonic()
        r = raw.request("GET", f"/many?list-type=2&start-after={after}")
        times.append(1000 * (time.monotonic() - start))
        names = r.all("Key")
        found += len(names)
        if "true" not in r.all("IsTruncated"):
            break
        after = names[-1].replace("/", "%2F")
    assert found == keys, (found, keys)
    times.sort()
    return f"LIST of {keys:,} keys, a page of 1,000: median {times[len(times) // 2]:.1f} ms, longest {times[-1]:.1f} ms"


def copying(site, mib):
    raw = site.raw(timeout=600)
    h = http.client.HTTPSConnection(site.address, site.port, timeout=600, context=raw.context)
    piece = os.urandom(MIB)
    send = raw.signed("PUT", "/bucket/source", payload="UNSIGNED-PAYLOAD")
    h.request("PUT", "/bucket/source", headers={**send, "content-length": str(mib * MIB)},
              body=(i.to_bytes(8, "little") + piece[8:] for i in range(mib)))
    r = h.getresponse()
    assert r.status == 200, r.read()
    times = []
    for i in range(5):
        start = time.monotonic()
        r = raw.request("PUT", f"/bucket/copy{i}", b"", {"x-amz-copy-source": "bucket/source"})
        times.append(1000 * (time.monotonic() - start))
        assert r.status == 200, r
    return f"copy of {mib:,} MiB in the server: median {sorted(times)[2]:.1f} ms"


def compare(a, c, stack):
    """The rows of SX and all that stands beside it."""
    tls, site = f"{c.nodes[0].dir}/tls", Site(c)
    plain = sxbench.PlainNginx(a.dir, tls)
    stack.callback(plain.stop)
    os.mkdir(f"{plain.dir}/data/bucket")
    servers = {"SX": Server(site.host, lambda: [p for n in c.nodes for p in n.processes()], site),
               "plain nginx": Server(f"127.0.0.1:{plain.port}", lambda: [plain.pid])}
    buckets = [site.raw()]
    if a.swift:
        other = stack.enter_context(swift.Swift(a.dir, tls, c.nodes[0].address))
        servers["Swift"] = Server(other.host, other.roots, other)
        buckets.append(other.raw())
    for raw in buckets:
        r = raw.request("PUT", "/bucket")
        assert r.status == 200, r
    return transfers(a, servers)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--seconds", type=float, default=4, help="for each figure")
    p.add_argument("--concurrency", type=numbers_of, default="1,8")
    p.add_argument("--sizes", type=sizes_of, default="4K,1M,64M", help="with K, M or G")
    p.add_argument("--keys", type=number_of, default=10000, help="of the bucket to list")
    p.add_argument("--copy", type=number_of, default=1024, help="MiB of the object to copy")
    p.add_argument("--first", action="store_true", help="GET of what was written only, not read before")
    p.add_argument("--swift", action="store_true", help="also OpenStack Swift (tools/install-deps --bench)")
    p.add_argument("--work", default="/var/tmp", help="where all data goes (a disk, not a tmpfs)")
    a = p.parse_args()
    if refusal(a):
        p.error(refusal(a))
    if a.swift and swift.missing():
        p.error(f"Swift is not installed (tools/install-deps --bench); missing: {' '.join(swift.missing())}")
    a.dir = tempfile.mkdtemp(prefix="s3bench.", dir=a.work)
    os.chmod(a.dir, 0o755)
    os.environ["SX_TEST_DIR"] = a.dir
    try:
        with lib.Cluster("s3bench", workers=16, reserved=2, size=f"{STORE_GIB}G") as c:
            with contextlib.ExitStack() as stack:
                rows = compare(a, c, stack)
            lines = [listing(Site(c), c, a.keys), copying(Site(c), a.copy)]
        print(f"\n{sxbench.machine()}\n\n" + "\n".join(rows) + "\n\n" + "\n".join(f"- {x}" for x in lines))
    finally:
        shutil.rmtree(a.dir, ignore_errors=True)


if __name__ == "__main__":
    main()
