# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests with S3 clients share: where a cluster's gateway is, trees of files to send, and a raw client that signs
and lets every part be wrong."""
import datetime
import hashlib
import hmac
import http.client
import os
import re
import subprocess
import urllib.parse

import sxhttp

FULL = os.environ.get("SX_S3_FULL") == "1"  # make check-s3: the same tests, larger
MIB = 1 << 20
PLAIN_PORT = 8445
PLAIN = ("--s3-port", str(PLAIN_PORT))  # options of a cluster that also serves S3 by plain HTTP


class Site:
    """A gateway as a client is told of it; `plain`: its port without TLS, of a cluster with the options PLAIN."""

    def __init__(self, cluster, node=0, plain=False):
        n = cluster.nodes[node]
        self.cluster, self.dir = cluster, cluster.dir
        self.address, self.port = n.address, PLAIN_PORT if plain else n.port
        self.host = f"{self.address}:{self.port}"
        self.url = ("http://" if plain else "https://") + self.host
        self.ca = f"{cluster.nodes[0].dir}/tls/ca.pem"
        self.access, self.secret = cluster.key["access_key"], cluster.key["secret_key"]
        self.env = dict(cluster.env, HOME=cluster.dir, AWS_ACCESS_KEY_ID=self.access, AWS_SECRET_ACCESS_KEY=self.secret,
                        AWS_DEFAULT_REGION="us-east-1", AWS_EC2_METADATA_DISABLED="true",
                        PYTHONWARNINGS="ignore")
        self.env.pop("AWS_CA_BUNDLE", None)  # rclone fails when it is set

    def run(self, *words, check=True, timeout=300, data=None, env=None):
        """Runs a client; its output as text.  check=False: None if it fails."""
        r = subprocess.run(words, env=dict(self.env, **(env or {})), timeout=timeout, input=data or b"", stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, check=False, cwd=self.dir)
        if r.returncode != 0 and check:
            raise AssertionError(f"{' '.join(words)}: exit status {r.returncode}\n{r.stdout.decode(errors='replace')}"
                                 f"{r.stderr.decode(errors='replace')}")
        return r.stdout.decode(errors="replace") if r.returncode == 0 else None

    def raw(self, **more):
        return Raw(self, **more)


def make_tree(root, files=20, size=2 * MIB):
    """A tree with small files, an empty one, odd names, and one file of `size` bytes."""
    odd = ["plain", "with space", "plus+and&", "ümlaut-日本", "100%", "quote'", "a=b;c"]
    for i in range(files):
        path = f"{root}/d{i % 3}/{odd[i % len(odd)]}-{i}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write(path, os.urandom(0 if i == 3 else 1 + i * 997))
    write(f"{root}/large", os.urandom(size))
    return root


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def same_trees(a, b):
    r = subprocess.run(["diff", "-r", a, b], stdout=subprocess.PIPE, check=False)
    assert r.returncode == 0, r.stdout.decode(errors="replace")


def head_of(method, target, headers):
    """The bytes of a request's head."""
    return f"{method} {target} HTTP/1.1\r\n".encode() + b"".join(f"{k}: {v}\r\n".encode() for k, v in headers.items()) + b"\r\n"


class Raw:
    """Requests that are signed with Signature V4 for S3, each part of which can be wrong."""

    def __init__(self, site, timeout=60):
        self.site, self.timeout, self.context = site, timeout, sxhttp.ssl.create_default_context(cafile=site.ca)
        self.connection = None

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    def signed(self, method, target, body=b"", headers=None, **wrong):
        """The headers of a signed request; `wrong`: payload, skew_s, region, service, access, secret, sign_method."""
        path, _, query = target.partition("?")
        now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=wrong.get("skew_s", 0))
        send = {"host": self.site.host, "x-amz-date": now.strftime("%Y%m%dT%H%M%SZ"),
                "x-amz-content-sha256": wrong.get("payload") or sxhttp.sha256(body)}
        send.update({k.lower(): v for k, v in (headers or {}).items()})
        send["authorization"] = sxhttp.sign(
            wrong.get("sign_method", method), path, query, dict(send), send["x-amz-content-sha256"],
            wrong.get("access", self.site.access), wrong.get("secret", self.site.secret), send["x-amz-date"],
            wrong.get("region", "us-east-1"), wrong.get("service", "s3"))
        return send

    def request(self, method, target, body=b"", headers=None, sign=True, **wrong):
        """`target` is encoded.  The answer's .code is that of the XML error, or None."""
        send = self.signed(method, target, body, headers, **wrong) if sign else dict(headers or {})
        for again in (True, False):
            try:
                return self.send(method, target, body, send)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, http.client.CannotSendRequest):
                self.close()  # a kept connection that the server has closed meanwhile
                if not again:
                    raise

    def send(self, method, target, body, headers):
        if not self.connection:
            self.connection = http.client.HTTPSConnection(self.site.address, self.site.port, timeout=self.timeout,
                                                          context=self.context)
        self.connection.request(method, target, body=body or None, headers=headers)
        r = self.connection.getresponse()
        data = r.read()
        if r.will_close:
            self.close()
        return Answer(r.status, r.headers, data)

    def in_chunks(self, target, chunks, spoil=None):
        """Headers and body of a PUT in signed chunks; `spoil`: the number of the chunk whose data is not what was signed."""
        size = sum(map(len, chunks))
        send = self.signed("PUT", target, headers={"x-amz-decoded-content-length": str(size), "content-encoding": "aws-chunked"},
                           payload="STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
        stamp, before = send["x-amz-date"], send["authorization"].rpartition("=")[2]
        scope = f"{stamp[:8]}/us-east-1/s3/aws4_request"
        key = ("AWS4" + self.site.secret).encode()
        for part in (stamp[:8], "us-east-1", "s3", "aws4_request"):
            key = sxhttp.mac(key, part)
        body = b""
        for i, data in enumerate(list(chunks) + [b""]):
            text = "\n".join(["AWS4-HMAC-SHA256-PAYLOAD", stamp, scope, before, sxhttp.sha256(b""), sxhttp.sha256(data)])
            before = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
            if i == spoil:
                data = bytes([data[0] ^ 1]) + data[1:]
            body += b"%x;chunk-signature=%s\r\n%s\r\n" % (len(data), before.encode(), data)
        return dict(send, **{"content-length": str(len(body))}), body

    def presign(self, method, target, expires=300, skew_s=0, days=None):
        """The target with a signature in its query."""
        path, _, query = target.partition("?")
        now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=skew_s)
        stamp = now.strftime("%Y%m%dT%H%M%SZ")
        scope = f"{stamp[:8]}/us-east-1/s3/aws4_request"
        args = {"X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": f"{self.site.access}/{scope}", "X-Amz-Date": stamp,
                "X-Amz-Expires": str(expires if days is None else days * 86400), "X-Amz-SignedHeaders": "host"}
        query = "&".join(filter(None, [query] + [f"{k}={urllib.parse.quote(v, safe='')}" for k, v in args.items()]))
        line = sxhttp.sign(method, path, query, {"host": self.site.host}, "UNSIGNED-PAYLOAD", self.site.access, self.site.secret,
                           stamp, "us-east-1", "s3")
        return f"{path}?{query}&X-Amz-Signature={line.rpartition('=')[2]}"


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def code(self):
        m = re.search(rb"<Code>([^<]*)</Code>", self.body)
        return m.group(1).decode() if m and self.status >= 400 else None

    def all(self, name):
        """The texts of all elements of a name."""
        return [m.decode() for m in re.findall(rb"<" + name.encode() + rb">([^<]*)</", self.body)]

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


def md5(data):
    return hashlib.md5(data).hexdigest()
