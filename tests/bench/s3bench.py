#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures the S3 gateway against a plain nginx of the same run, and prints a table of ratios.

    SX_BUILDDIR=build tests/bench/s3bench.py [--seconds 4] [--concurrency 1,8] [--sizes 4K,1M,64M] [--keys 10000] [--copy 1024]

PUT and GET of objects over TLS, each connection in a process of its own that keeps it open and signs by itself (PUT with
UNSIGNED-PAYLOAD).  The baseline is the same client against nginx's dav module over the same TLS, which neither computes a
hash nor syncs anything.  CPU is that of the clients apart from that of the servers.  Then a bucket with many keys, listed page
by page, and a copy in the server.  Read the ratios; the figures belong to the machine."""
import argparse
import http.client
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import cluster as lib  # noqa: E402
import sxbench  # noqa: E402
from s3 import MIB, Site  # noqa: E402
from sxhttp import ssl  # noqa: E402

OBJECTS = 16  # a client's own, over and over, in GET; in PUT each content is new


def size_of(text):
    return int(text[:-1]) << {"K": 10, "M": 20}[text[-1]]


class Plain:
    """The baseline as a server with the requests of Raw."""

    def __init__(self, address, port):
        self.address, self.port, self.connection = address, port, None
        self.context = ssl._create_unverified_context()

    def request(self, method, target, body=b"", **_):
        if not self.connection:
            self.connection = http.client.HTTPSConnection(self.address, self.port, context=self.context)
        self.connection.request(method, target, body=body or None)
        r = self.connection.getresponse()
        r.body = r.read()
        return r


def client(make, method, size, seconds, number, results):
    """One connection for some seconds; tells how many requests it made, in what time, with what CPU."""
    server, body, count = make(), bytearray(os.urandom(size)), 0
    most = max(2, min(OBJECTS, (256 * MIB) // size))
    if method == "GET":
        for i in range(most):
            server.request("PUT", f"/bucket/c{number}-{i}", bytes(body))
    cpu = -sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    start = time.monotonic()
    while time.monotonic() - start < seconds or count < 2:
        if method == "PUT":
            # Every 32 KiB changes, so that no block is one that was there.
            for at in range(0, size, 32768):
                body[at:at + 8] = os.urandom(8)
        r = server.request(method, f"/bucket/c{number}-{count % most}", bytes(body) if method == "PUT" else b"",
                           payload="UNSIGNED-PAYLOAD")
        assert r.status in (200, 201, 204) and (method == "PUT" or len(r.body) == size), r
        count += 1
    results.put((count, time.monotonic() - start, cpu + sum(resource.getrusage(resource.RUSAGE_SELF)[:2])))


def measure(make, roots, method, size, clients, seconds):
    """(requests a second, client's CPU, servers' CPU, in µs a request)"""
    results = multiprocessing.Queue()
    server = -sxbench.tree_cpu(roots())
    all_ = [multiprocessing.Process(target=client, args=(make, method, size, seconds, i, results)) for i in range(clients)]
    for p in all_:
        p.start()
    got = [results.get() for _ in all_]
    for p in all_:
        p.join()
    server += sxbench.tree_cpu(roots())
    n = sum(g[0] for g in got)
    # What a GET put before counts for the server too, so its share is told only of PUT.
    return sum(g[0] / g[1] for g in got), 1e6 * sum(g[2] for g in got) / n, 1e6 * server / n


def transfers(a, site, c, plain, rows):
    port = int(plain.url.rsplit(":", 1)[1].split("/")[0])
    os.mkdir(f"{plain.dir}/data/bucket")
    for text in a.sizes.split(","):
        for clients in map(int, a.concurrency.split(",")):
            for method in ("PUT", "GET"):
                size = size_of(text)
                sx = measure(site.raw, lambda: [p for n in c.nodes for p in n.processes()], method, size, clients, a.seconds)
                base = measure(lambda: Plain("127.0.0.1", port), lambda: [plain.pid], method, size, clients, a.seconds)
                rows.append(f"| {method} {text}, {clients} at once | {sx[0]:,.1f}/s, {sx[0] * size / MIB:,.0f} MiB/s | "
                            f"{base[0]:,.1f}/s, {base[0] * size / MIB:,.0f} MiB/s | {sx[0] / base[0]:.2f} | "
                            f"{sx[1]:,.0f} + {sx[2]:,.0f} | {base[1]:,.0f} + {base[2]:,.0f} |")
                lib.say(rows[-1])


def listing(site, c, keys):
    """Keys by the native batch of small files; then all pages of 1,000."""
    top = f"{c.dir}/many"
    for d in range(keys // 500):
        os.makedirs(f"{top}/d{d:05}")
        for i in range(500):
            with open(f"{top}/d{d:05}/f{i:05}", "wb") as f:
                f.write(b"%d %d" % (d, i))
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
    piece = os.urandom(4 * MIB)
    send = raw.signed("PUT", "/bucket/source", payload="UNSIGNED-PAYLOAD")
    h.request("PUT", "/bucket/source", headers={**send, "content-length": str(mib * MIB)},
              body=(i.to_bytes(8, "little") + piece[8:] for i in range(mib // 4)))
    r = h.getresponse()
    assert r.status == 200, r.read()
    times = []
    for i in range(5):
        start = time.monotonic()
        r = raw.request("PUT", f"/bucket/copy{i}", b"", {"x-amz-copy-source": "bucket/source"})
        times.append(1000 * (time.monotonic() - start))
        assert r.status == 200, r
    return f"copy of {mib:,} MiB in the server: median {sorted(times)[2]:.1f} ms"


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--seconds", type=float, default=4, help="for each figure")
    p.add_argument("--concurrency", default="1,8")
    p.add_argument("--sizes", default="4K,1M,64M")
    p.add_argument("--keys", type=int, default=10000, help="of the bucket to list")
    p.add_argument("--copy", type=int, default=1024, help="MiB of the object to copy")
    p.add_argument("--work", default="/var/tmp", help="where all data goes (a disk, not a tmpfs)")
    a = p.parse_args()
    work = tempfile.mkdtemp(prefix="s3bench.", dir=a.work)
    os.chmod(work, 0o755)
    os.environ["SX_TEST_DIR"] = work
    rows, lines = [], []
    try:
        with lib.Cluster("s3bench", workers=16, reserved=2, size="64G") as c:
            site, plain = Site(c), sxbench.PlainNginx(work, f"{c.nodes[0].dir}/tls")
            try:
                assert site.raw().request("PUT", "/bucket").status == 200
                transfers(a, site, c, plain, rows)
            finally:
                plain.stop()
            lines += [listing(site, c, a.keys), copying(site, a.copy)]
        print(f"\n{sxbench.machine()}\n\n| what | SX | plain nginx | ratio | CPU of SX, µs: client + server | CPU of nginx |\n"
              "|---|---|---|---|---|---|\n" + "\n".join(rows) + "\n\n" + "\n".join(f"- {x}" for x in lines))
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
