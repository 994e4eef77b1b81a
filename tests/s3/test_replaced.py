# SPDX-License-Identifier: GPL-2.0-or-later
"""An object that is replaced while a slow client reads it: the rest of the version that was begun follows as long as its blocks
are there; once they are collected the connection ends short.  Never other bytes, never an error amid the body."""
import http.client
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import Cluster, say, wait_for  # noqa: E402
from s3 import MIB, Site  # noqa: E402

SIZE = 32 * MIB  # more than all buffers between the daemon and the client hold
SETTINGS = {"lease_s": 2, "collect_interval_s": 1}


class SlowGet:
    """A GET of which only the first MiB was read."""

    def __init__(self, site, path):
        raw = site.raw()
        plain = socket.create_connection((site.address, site.port), timeout=60)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.connection = http.client.HTTPSConnection(site.address, site.port, timeout=60, context=raw.context)
        self.connection.sock = raw.context.wrap_socket(plain, server_hostname=site.address)
        self.connection.request("GET", path, headers=raw.signed("GET", path))
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.status
        self.body = self.answer.read(MIB)

    def rest(self):
        """The whole body; False with it if the connection ended early."""
        try:
            while True:
                piece = self.answer.read(MIB)
                if not piece:
                    return self.body, len(self.body) == SIZE
                self.body += piece
        except http.client.IncompleteRead as e:
            return self.body + e.partial, False
        except OSError:
            return self.body, False
        finally:
            self.connection.close()


def main():
    with Cluster("replaced", nodes=1, settings=SETTINGS) as c:
        site = Site(c)
        raw = site.raw()
        assert raw.request("PUT", "/bucket").status == 200

        old, new = os.urandom(SIZE), os.urandom(SIZE)
        assert raw.request("PUT", "/bucket/large", old).status == 200
        get = SlowGet(site, "/bucket/large")
        assert raw.request("PUT", "/bucket/large", new).status == 200
        body, whole = get.rest()
        assert body == (old if whole else old[:len(body)]), (len(body), whole)
        say("replaced while it is read:", "whole" if whole else f"short after {len(body)} bytes")

        get = SlowGet(site, "/bucket/large")
        assert raw.request("PUT", "/bucket/large", b"x").status == 200
        wait_for("the old blocks to be collected", 60, lambda: c.status()["nodes"][0]["blocks"] == 0, every=0.2)
        began = time.monotonic()
        body, whole = get.rest()
        assert time.monotonic() - began < 30, "the connection was kept though the body is short"
        assert not whole and body == new[:len(body)], (len(body), whole)
        say(f"collected while it is read: short after {len(body)} bytes")


main()
