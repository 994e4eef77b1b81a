# SPDX-License-Identifier: GPL-2.0-or-later
"""tests/bench/s3bench.py, in small: it runs where its help text says so, refuses what would write too much, and leaves nothing
behind when a signal ends it; and its client s3load."""
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import sxhttp  # noqa: E402
from cluster import BUILD, SMALL, SOURCE, link, need, say  # noqa: E402

LOAD = "tests/bench/s3load"
BENCH = f"{SOURCE}/tests/bench/s3bench.py"
LIMIT_S = 300 if SMALL else 100
started = []


def start(work, *words):
    """With SX_BUILDDIR as people write it."""
    env = dict(os.environ, SX_BUILDDIR=os.path.basename(BUILD), SX_TEST_DIR="")
    env.pop("SX_SRCDIR", None)
    started.append(subprocess.Popen([sys.executable, "-B", BENCH, "--work", work, "--keys", "501", "--copy", "3", *words], env=env,
                                    cwd=os.path.dirname(BUILD), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, start_new_session=True))
    return started[-1]


def left(work):
    """What is left in the folder, and the processes that live there."""
    pids = [p for p in filter(str.isdigit, os.listdir("/proc")) if link(p, "cwd").startswith(work)]
    return os.listdir(work) + pids


def whole(work):
    p = start(work, "--sizes", "4K", "--concurrency", "2", "--seconds", "0.2")
    text = p.communicate(timeout=LIMIT_S)[0].decode()
    assert p.returncode == 0, text
    assert "| PUT 4K, 2 at once |" in text and "| GET 4K, 2 at once |" in text and "LIST of 501 keys" in text, text
    assert not left(work), left(work)
    say("a whole run, with a relative SX_BUILDDIR")


def refusals(work):
    for words, why in ((("--sizes", "1024M", "--concurrency", "32"), b"write too much"),
                       (("--sizes", "1G", "--concurrency", "1,16"), b"write too much"),
                       (("--sizes", "1"), b"'1' is no size"), (("--concurrency", "0"), b"'0' is no list of numbers"),
                       (("--keys", "0"), b"'0' is no number from 1 on")):
        p = start(work, *words)
        text = p.communicate(timeout=LIMIT_S)[0]
        assert p.returncode == 2 and why in text and not left(work), (p.returncode, text)
    say("too much, and what is no size, are refused before anything starts")


def load(*words, secret=""):
    env = dict(os.environ, AWS_SECRET_ACCESS_KEY=secret)
    return subprocess.run([f"{BUILD}/{LOAD}", *words], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=LIMIT_S)


def client_refusals():
    good = {"--url": "https://127.0.0.1:1/bucket", "--method": "PUT", "--size": "4096"}
    for words, why in (({"--size": "4K"}, b"--size: '4K' is no number from 1 to"), ({"--size": "0"}, b"'0' is no number"),
                       ({"--url": "http://127.0.0.1/bucket"}, b"is not of the form https://HOST:PORT/BUCKET"),
                       ({"--url": "https://127.0.0.1:1/"}, b"is not of the form"), ({"--method": "POST"}, b"neither PUT nor GET"),
                       ({"--seconds": "nan"}, b"--seconds: 'nan' is no number"), ({"--connections": ""}, b"'' is no number"),
                       ({"--size": str((5 << 30) + 1)}, b"is no number from 1 to 5368709120"),
                       ({"--access": "key"}, b"its secret in AWS_SECRET_ACCESS_KEY")):
        r = load(*(w for pair in {**good, **words}.items() for w in pair))
        assert r.returncode == 2 and why in r.stderr and not r.stdout, (words, r)
    for words in (("--size", "1"), ("--no-such-option",), ("operand",)):
        r = load(*words)
        assert r.returncode == 2 and r.stderr and not r.stdout, (words, r)
    say("s3load refuses wrong arguments, and says which")


def client_errors():
    """Nobody listens on the port of a socket that does not."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        for method in ("PUT", "GET"):
            r = load("--url", f"https://127.0.0.1:{s.getsockname()[1]}/bucket", "--method", method, "--size", "4096",
                     "--connections", "3")
            got = json.loads(r.stdout)
            # A GET fails where it puts what it reads.
            assert r.returncode == 1 and got["errors"] and not got["requests"], r
            assert re.fullmatch(rb"s3load: PUT /bucket/c\d-0: .*connect to 127.0.0.1.*\n", r.stderr), r
    say("s3load tells the request that failed, once")


class Stub(http.server.BaseHTTPRequestHandler):
    """A store of one bucket that checks signatures; `fault` is what it does wrong."""
    protocol_version = "HTTP/1.1"
    store, sent, busy, fault = {}, {}, set(), None

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        names = ("host", "x-amz-content-sha256", "x-amz-date")
        headers = {n: self.headers.get(n, "") for n in names}
        good = sxhttp.sign(self.command, self.path, "", headers, "UNSIGNED-PAYLOAD", "key", "secret", headers["x-amz-date"],
                           "us-east-1", "s3")
        if self.headers.get("authorization") != good:
            return self.answer(403, b"<Code>SignatureDoesNotMatch</Code>")
        if self.fault == "busy" and (self.command, self.path) not in self.busy:
            self.busy.add((self.command, self.path))
            return self.answer(503)
        if self.command == "PUT":
            self.store[self.path] = body
            self.sent.setdefault(self.path, []).append(body)
        if self.path not in self.store:
            return self.answer(404)
        if self.command == "DELETE":
            del self.store[self.path]
            return self.answer(204)
        return self.answer(200, self.store[self.path][self.fault == "short":] if self.command == "GET" else b"")

    do_PUT = do_GET = do_DELETE = handle_any

    def log_message(self, *_):
        pass


def client_requests(work):
    """What s3load sends and how it takes the answers, with a server that is not ours."""
    cert, key = f"{work}/stub.pem", f"{work}/stub.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=s",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", "-keyout", key, "-out", cert], check=True,
                   stderr=subprocess.DEVNULL)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    server.daemon_threads = True
    context = sxhttp.ssl.SSLContext(sxhttp.ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        requests(f"https://127.0.0.1:{server.server_port}/bucket", cert)
    finally:
        server.shutdown()
        server.server_close()
        os.unlink(cert)
        os.unlink(key)


def requests(url, cert):
    def ask(method, fault=None, secret="secret", ca=cert, seconds="9"):
        Stub.fault = fault
        Stub.sent.clear()
        Stub.busy.clear()
        r = load("--url", url, "--method", method, "--size", "70000", "--connections", "2", "--most", "2", "--limit", "5",
                 "--access", "key", "--seconds", seconds, "--ca", ca, secret=secret)
        assert not Stub.store, Stub.store.keys()
        return r, json.loads(r.stdout)

    for fault, busy in ((None, 0), ("busy", 8)):  # two connections, two names, PUT and DELETE
        r, got = ask("PUT", fault)
        assert r.returncode == 0 and got["requests"] == 10 and got["errors"] == 0 and got["busy"] == busy, r
        assert sorted(Stub.sent) == [f"/bucket/c{c}-{n}" for c in (0, 1) for n in (0, 1)], Stub.sent.keys()
        bodies = [b for bs in Stub.sent.values() for b in bs]
        pieces = [b[i:i + 32768] for b in bodies for i in range(0, len(b), 32768)]
        assert {len(b) for b in bodies} == {70000} and len(set(pieces)) == 30, "a block was there before"
    r, got = ask("GET", seconds="0.2")
    assert r.returncode == 0 and got["requests"] > 2 and 0.2 <= got["seconds"] < 9 and sum(map(len, Stub.sent.values())) == 4, r
    for why, words in ((b"GET /bucket/c[01]-0: 69999 bytes instead of 70000", ("GET", "short")),
                       (b"PUT /bucket/c[01]-0: status 403: <Code>SignatureDoesNotMatch</Code>", ("PUT", None, "other")),
                       (b"PUT /bucket/c[01]-0: .*certificate.*", ("PUT", None, "secret", "/dev/null"))):
        r, got = ask(*words)
        assert r.returncode == 1 and got["errors"] and re.fullmatch(b"s3load: " + why + b"\n", r.stderr), r
    say("s3load signs, asks again who is busy, sends no block twice, deletes what it wrote, and tells what is wrong")


def ended(work, number, group):
    p = start(work, "--sizes", "64K", "--concurrency", "2", "--seconds", "1")
    line = p.stdout.readline()  # the first figure is there, the second is being measured
    assert b"| PUT 64K" in line, line + p.communicate(timeout=LIMIT_S)[0]
    (os.killpg if group else os.kill)(p.pid, number)
    text = p.communicate(timeout=LIMIT_S)[0].decode()
    assert p.returncode == 128 + number, (p.returncode, text)
    assert not left(work), left(work)
    say(f"ended by {signal.Signals(number).name} to {'the process group' if group else 'it alone'}: nothing is left")


def main():
    need("sxcp", "sxsetup", "sx.fcgi", "nginx", "openssl", LOAD)
    client_refusals()
    client_errors()
    with tempfile.TemporaryDirectory(prefix="sx-bench-") as work:
        os.chmod(work, 0o755)
        try:
            client_requests(work)
            whole(work)
            refusals(work)
            ended(work, signal.SIGTERM, False)
            ended(work, signal.SIGINT, True)
        finally:
            for p in started:
                p.terminate()
                p.wait()


if __name__ == "__main__":
    main()
