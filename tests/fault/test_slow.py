# SPDX-License-Identifier: GPL-2.0-or-later
"""Slow clients. More of them than the node has workers send objects at 64 KB/s each, one stops in the middle and one reads
its answer as slowly: all are served, and meanwhile quick requests of others wait for no longer than it takes to start extra
workers. The one that stopped is cut off (the whole tier waits for nginx to do it), nothing of it is left, and the extra workers end."""
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import fault  # noqa: E402
from cluster import SMALL, Cluster, need, say, wait_for  # noqa: E402
from s3 import Site  # noqa: E402

SLOW = 3 if SMALL else 1
WORKERS, EXTRA = 2, 6  # the node's, and the most that it adds to them
SENDERS = 5            # with the one that stops and the one that reads: fewer than both together, more than the workers
SIZE, STEP, PAUSE_S = 640_000, 6400, 0.1
QUICK_S = 8.0          # extra workers are there after some seconds; the senders take ten
CUT_S = 60             # client_body_timeout of nginx is 30 s


class Sender(threading.Thread):
    """PUTs an object a step at a time; stops after `steps`, if given, and keeps the connection."""

    def __init__(self, site, key, steps=None):
        super().__init__(daemon=True)
        self.body, self.target, self.steps, self.answer, self.error = os.urandom(SIZE), f"/vol/{key}", steps, b"", None
        raw = site.raw()
        head = {**raw.signed("PUT", self.target, payload="UNSIGNED-PAYLOAD"), "content-length": str(SIZE), "connection": "close"}
        self.socket = raw.context.wrap_socket(socket.create_connection((site.address, site.port), timeout=CUT_S * SLOW),
                                              server_hostname=site.address)
        self.socket.sendall(f"PUT {self.target} HTTP/1.1\r\n".encode() +
                            b"".join(f"{k}: {v}\r\n".encode() for k, v in head.items()) + b"\r\n")

    def run(self):
        try:
            for at in range(0, SIZE if self.steps is None else self.steps * STEP, STEP):
                self.socket.sendall(self.body[at:at + STEP])
                time.sleep(PAUSE_S)
            while data := self.socket.recv(65536):
                self.answer += data
        except OSError as error:
            self.error = error
        self.socket.close()


class Reader(threading.Thread):
    """GETs an object as slowly."""

    def __init__(self, site, target):
        super().__init__(daemon=True)
        self.got, self.enough, raw = b"", threading.Event(), site.raw()
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        plain.settimeout(CUT_S * SLOW)
        plain.connect((site.address, site.port))
        self.socket = raw.context.wrap_socket(plain, server_hostname=site.address)
        head = {**raw.signed("GET", target), "connection": "close"}
        self.socket.sendall(f"GET {target} HTTP/1.1\r\n".encode() +
                            b"".join(f"{k}: {v}\r\n".encode() for k, v in head.items()) + b"\r\n")

    def run(self):
        while not self.enough.wait(PAUSE_S) and (data := self.socket.recv(STEP)):
            self.got += data
        self.socket.close()


def quick(site, threads):
    """Small requests on connections of their own while the slow ones last; the longest, in seconds."""
    pace, n = fault.Pace(), 0
    while any(t.is_alive() for t in threads):
        for method, body in (("PUT", b"quick"), ("GET", b"")):
            start, raw = time.monotonic(), site.raw(timeout=CUT_S * SLOW)
            r = raw.request(method, f"/vol/quick{n % 7}", body)
            raw.close()
            assert r.status == 200, r
            pace.note(time.monotonic() - start)
        n += 1
        time.sleep(0.02)
    assert pace.worst <= QUICK_S * SLOW, f"a quick request took {pace.worst:.1f} s beside slow ones"
    return pace


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx")
    whole = fault.SHARE >= 1
    fault.begin("slow")
    with Cluster("slow", workers=WORKERS, reserved=1) as c:
        site, node, large = Site(c), c.nodes[0], os.urandom(8 << 20)
        raw = site.raw(timeout=CUT_S * SLOW)
        assert raw.request("PUT", "/vol").status == 200
        assert raw.request("PUT", "/vol/large", large).status == 200
        senders = [Sender(site, f"slow{i}") for i in range(SENDERS)]
        stopper, reader = Sender(site, "stopped", steps=20), Reader(site, "/vol/large")
        for t in (*senders, stopper, reader):
            t.start()
        pace = quick(site, senders)
        extra = len(node.pids("extra worker"))
        assert 0 < extra <= EXTRA, extra
        for s in senders:
            assert s.error is None and s.answer.startswith(b"HTTP/1.1 200 "), (s.error, s.answer)
            assert raw.request("GET", s.target).body == s.body
        if whole:
            stopper.join(CUT_S * SLOW)
            assert not stopper.is_alive() and b" 200 " not in stopper.answer[:20], stopper.answer
        else:
            stopper.socket.close()
        reader.enough.set()
        reader.join()
        head, _, data = reader.got.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ") and data and large.startswith(data), head
        assert raw.request("GET", stopper.target).status == 404
        if whole:
            wait_for("the extra workers to end", 120 * SLOW, lambda: not node.pids("extra worker"), every=1)
            assert raw.request("GET", "/vol/large").body == large
        fault.goal("slow clients, all served beside quick ones", SENDERS, SENDERS,
                   f"({len(pace.all)} quick requests, longest {pace.worst:.2f} s, median {1000 * pace.middle:.0f} ms; {extra} extra workers)")
        say("slow senders were served, the one that stopped was not stored")


if __name__ == "__main__":
    main()
