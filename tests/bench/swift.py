# SPDX-License-Identifier: GPL-2.0-or-later
"""OpenStack Swift of the distribution as an S3 server to compare with: one copy in one directory, tempauth, memcached.

    with Swift(work, tls, address) as s:  # for which the certificate is
        s.raw().request("PUT", "/bucket")

Rings, settings and data lie in a folder of their own, all processes belong to the caller, and nothing of /etc/swift is read.
A plain nginx ends TLS before it, as before SX.  Its daemons for replication and audits do not run."""
import getpass
import os
import shutil
import socket
import subprocess
import time

from cluster import wait_for
from s3 import Raw
from sxbench import PlainNginx

WORKERS = 2
PARTS = "account", "container", "object"
ACCESS, SECRET = "bench:bench", "secret"
PIPELINE = "catch_errors cache s3api tempauth slo proxy-server"
STEPS = {"catch_errors": "", "cache": "memcache_servers = {cache}\n", "s3api": "location = us-east-1\ns3_acl = no\n",
         "tempauth": f"user_{ACCESS.replace(':', '_')} = {SECRET} .admin\n", "slo": ""}
# swift.conf has no option: its place is written in Swift itself.
START = "import runpy, sys, swift.common.utils as u; u.SWIFT_CONF_FILE = sys.argv.pop(1); " \
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"


def missing():
    return [p for p in ["memcached", "swift-ring-builder", "swift-proxy-server", *(f"swift-{p}-server" for p in PARTS)]
            if not shutil.which(p)]


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


class Swift:
    def __init__(self, work, tls, address):
        self.dir, self.tls, self.ca = f"{work}/swift", tls, f"{tls}/ca.pem"
        self.processes, self.nginx = [], None
        self.access, self.secret, self.address = ACCESS, SECRET, address

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.nginx:
            self.nginx.stop()
        for p in self.processes:
            p.terminate()
        for p in self.processes:
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()

    def start(self):
        os.makedirs(f"{self.dir}/data/disk")
        *parts, proxy, cache = free_ports(len(PARTS) + 2)
        self.write("swift.conf", "[swift-hash]\nswift_hash_path_suffix = bench\n")
        self.run("memcached", "-l", "127.0.0.1", "-p", str(cache), "-U", "0", "-u", getpass.getuser())
        for part, port in zip(PARTS, parts):
            self.ring(part, port)
            self.write(f"{part}.conf", self.common(port, f"{part}-server") + f"[app:{part}-server]\nuse = egg:swift#{part}\n")
            self.serve(part)
        self.write("proxy.conf", self.common(proxy, PIPELINE) +
                   "[app:proxy-server]\nuse = egg:swift#proxy\nallow_account_management = true\naccount_autocreate = true\n"
                   # So many connections on so few processors take longer than half a second to be accepted.
                   "conn_timeout = 10\nnode_timeout = 60\nrecoverable_node_timeout = 60\n" +
                   "".join(f"[filter:{name}]\nuse = egg:swift#{name.replace('cache', 'memcache')}\n" +
                           text.format(cache=f"127.0.0.1:{cache}") for name, text in STEPS.items()))
        self.serve("proxy")
        for port in (*parts, proxy):
            wait_for(f"Swift on port {port}", 60, lambda: self.listens(port))
        self.nginx = PlainNginx(self.dir, self.tls, self.address,
                                "proxy_pass http://swift; proxy_http_version 1.1; proxy_set_header Connection '';\n"
                                "proxy_set_header Host $http_host; proxy_request_buffering off; proxy_buffering off;",
                                f"upstream swift {{ server 127.0.0.1:{proxy}; keepalive 64; }}")
        self.port = self.nginx.port
        self.host = f"{self.address}:{self.port}"

    def common(self, port, pipeline):
        return (f"[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = {port}\nworkers = {WORKERS}\nuser = {getpass.getuser()}\n"
                f"swift_dir = {self.dir}\ndevices = {self.dir}/data\nmount_check = false\nfallocate_reserve = 0\n"
                f"recon_cache_path = {self.dir}\nrecon_lock_path = {self.dir}\nlog_level = ERROR\n"
                f"[pipeline:main]\npipeline = {pipeline}\n")

    def write(self, name, text):
        with open(f"{self.dir}/{name}", "w") as f:
            f.write(text)

    def ring(self, part, port):
        builder = f"{self.dir}/{part}.builder"
        for words in (["create", "8", "1", "1"], ["add", f"r1z1-127.0.0.1:{port}/disk", "1"], ["rebalance"]):
            r = subprocess.run(["swift-ring-builder", builder, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            # 1 is a warning: one copy is not spread.
            if r.returncode > 1:
                raise AssertionError(f"swift-ring-builder {words}: {r.stdout.decode(errors='replace')}")

    def serve(self, part):
        # The distribution's own interpreter: Swift is one of its packages.
        self.run("/usr/bin/python3", "-c", START, f"{self.dir}/swift.conf", shutil.which(f"swift-{part}-server"),
                 f"{self.dir}/{part}.conf")

    def run(self, *words):
        with open(f"{self.dir}/log", "ab") as log:
            # In a session of its own: a Swift server that ends kills its process group.
            self.processes.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                   start_new_session=True))

    def listens(self, port):
        for p in self.processes:
            if p.poll() is not None:
                with open(f"{self.dir}/log", errors="replace") as f:
                    raise SystemExit(f"{p.args} has ended:\n{f.read()[-3000:]}")
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0

    def raw(self, **more):
        return Raw(self, **more)

    def roots(self):
        return [p.pid for p in self.processes] + [self.nginx.pid]
