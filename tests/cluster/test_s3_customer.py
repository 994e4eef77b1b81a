# SPDX-License-Identifier: GPL-2.0-or-later
"""S3 with the customer's key (SSE-C), with boto3: who has the key can do everything, who has not, nothing; neither key nor
plain bytes are anywhere on the node's disk; scrub and check take what they cannot open for whole; native clients are told."""
import base64
import glob
import hashlib
import http.client
import json
import os
import re
import ssl
import sys
import warnings

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from boto import connect, refused  # noqa: E402
from cluster import Cluster, say, wait_for  # noqa: E402

MIB = 1 << 20
B = {"Bucket": "bucket"}
S3_PORT = 9010
KEYS = [os.urandom(32), bytes(32)]  # any 32 bytes will do
MARK = base64.b32encode(os.urandom(40))  # stands in all that is put with a key
SMALL = MARK * 3
LARGE = b"".join(MARK + os.urandom(1000) for _ in range(3 * MIB // 1000))


def key(k, source=False):
    """Parameters of a request with key number k; None: without one."""
    prefix = "CopySource" if source else ""
    return {} if k is None else {prefix + "SSECustomerAlgorithm": "AES256", prefix + "SSECustomerKey": KEYS[k]}


def as_text(k):
    """The same for a method whose keys boto3 does not encode."""
    if k is None:
        return {}
    return {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": base64.b64encode(KEYS[k]).decode(),
            "SSECustomerKeyMD5": base64.b64encode(hashlib.md5(KEYS[k]).digest()).decode()}


def raw(k, **other):
    """The headers themselves, with some of them replaced (None: left out)."""
    h = {"algorithm": "AES256", "key": base64.b64encode(KEYS[k]).decode(),
         "key-MD5": base64.b64encode(hashlib.md5(KEYS[k]).digest()).decode(), **{n.replace("_", "-"): v for n, v in other.items()}}
    return {f"x-amz-server-side-encryption-customer-{n}": v for n, v in h.items() if v is not None}


def told(r, k):
    md5 = base64.b64encode(hashlib.md5(KEYS[k]).digest()).decode()
    assert (r["SSECustomerAlgorithm"], r["SSECustomerKeyMD5"]) == ("AES256", md5) and "ServerSideEncryption" not in r, r


def read(s3, name, k=None, **more):
    return s3.get_object(**B, Key=name, **key(k), **more)["Body"].read()


def put_and_get(s3):
    for name, data in (("small", SMALL), ("large", LARGE), ("empty", b"")):
        r = s3.put_object(**B, Key=name, Body=data, **key(0))
        told(r, 0)
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        assert r["ETag"] == etag
        r = s3.get_object(**B, Key=name, **key(0))
        told(r, 0)
        assert r["Body"].read() == data and r["ETag"] == etag, name
        r = s3.head_object(**B, Key=name, **key(0))
        told(r, 0)
        assert r["ContentLength"] == len(data)
        r = s3.get_object_attributes(**B, Key=name, ObjectAttributes=["ETag", "ObjectSize"], **as_text(0))
        assert r["ObjectSize"] == len(data)
        refused(lambda: read(s3, name), "InvalidRequest", 400)
        refused(lambda: read(s3, name, 1), "AccessDenied", 403)
        refused(lambda: s3.head_object(**B, Key=name), "400", 400)
        refused(lambda: s3.head_object(**B, Key=name, **key(1)), "403", 403)
        for k, code, status in ((None, "InvalidRequest", 400), (1, "AccessDenied", 403)):
            refused(lambda: s3.get_object_attributes(**B, Key=name, ObjectAttributes=["ETag"], **as_text(k)), code, status)
    assert read(s3, "large", 0, Range="bytes=1000000-1999999") == LARGE[1000000:2000000]
    assert read(s3, "small", 0, Range="bytes=-5") == SMALL[-5:]
    refused(lambda: s3.get_object(**B, Key="large", Range="bytes=0-0"), "InvalidRequest", 400)
    s3.put_object(**B, Key="plain", Body=b"plain")
    refused(lambda: read(s3, "plain", 0), "InvalidRequest", 400)
    refused(lambda: s3.head_object(**B, Key="plain", **key(0)), "400", 400)
    assert s3.head_object(**B, Key="plain")["ServerSideEncryption"] == "AES256"
    assert {o["Key"]: o["Size"] for o in s3.list_objects_v2(**B)["Contents"]}["large"] == len(LARGE)


def bad_headers(s3):
    def send(headers, call, **more):
        def add(request, **_):
            for name, value in headers.items():
                request.headers[name] = value
        s3.meta.events.register("before-sign.s3", add)
        try:
            return call(**B, Key="bad", **more)
        finally:
            s3.meta.events.unregister("before-sign.s3", add)
    for headers, code in ((raw(0, algorithm=None), "InvalidArgument"), (raw(0, key=None), "InvalidArgument"),
                          (raw(0, key_MD5=None), "InvalidArgument"), (raw(0, key="AAAA"), "InvalidArgument"),
                          (raw(0, key_MD5=base64.b64encode(bytes(16)).decode()), "InvalidArgument"),
                          (raw(0, algorithm="AES128"), "InvalidEncryptionAlgorithmError"),
                          ({**raw(0), "x-amz-server-side-encryption": "AES256"}, "InvalidArgument")):
        refused(lambda: send(headers, s3.put_object, Body=b"x"), code, 400)
        if "x-amz-server-side-encryption" not in headers:
            refused(lambda: send(headers, s3.get_object), code, 400)
    refused(lambda: s3.put_object(**B, Key="bad", Body=b"x", ServerSideEncryption="aws:kms"), "NotImplemented", 501)
    refused(lambda: s3.head_object(**B, Key="bad"), "404", 404)


def plain_http(c):
    s3 = connect(c, endpoint=f"http://{c.nodes[0].address}:{S3_PORT}")
    for call in (lambda: s3.put_object(**B, Key="http", Body=b"x", **key(0)), lambda: read(s3, "small", 0),
                 lambda: s3.create_multipart_upload(**B, Key="http", **key(0)),
                 lambda: s3.copy_object(**B, Key="http", CopySource="bucket/small", **key(0, source=True))):
        assert "secure connection" in refused(call, "InvalidRequest", 400)["Error"]["Message"]
    assert read(s3, "plain") == b"plain"


def multipart(s3):
    parts = [LARGE + LARGE[: 3 * MIB], SMALL]
    r = s3.create_multipart_upload(**B, Key="multi", **key(0))
    told(r, 0)
    up = {**B, "Key": "multi", "UploadId": r["UploadId"]}
    for k in (None, 1):
        refused(lambda: s3.upload_part(**up, PartNumber=1, Body=b"x", **key(k)), "InvalidRequest", 400)
        refused(lambda: s3.upload_part_copy(**up, PartNumber=1, CopySource="bucket/plain", **key(k)), "InvalidRequest", 400)
    etags = []
    for i, part in enumerate(parts):
        r = s3.upload_part(**up, PartNumber=i + 1, Body=part, **key(0))
        told(r, 0)
        etags.append(r["ETag"])
    refused(lambda: s3.upload_part_copy(**up, PartNumber=2, CopySource="bucket/small", **key(0)), "InvalidRequest", 400)
    refused(lambda: s3.upload_part_copy(**up, PartNumber=2, CopySource="bucket/small", **key(0), **key(1, True)), "AccessDenied", 403)
    r = s3.upload_part_copy(**up, PartNumber=2, CopySource="bucket/small", **key(0), **key(0, True))
    told(r, 0)
    assert r["CopyPartResult"]["ETag"] == etags[1]
    s3.complete_multipart_upload(**up, MultipartUpload={"Parts": [{"PartNumber": i + 1, "ETag": e} for i, e in enumerate(etags)]})
    assert read(s3, "multi", 0) == b"".join(parts)
    assert read(s3, "multi", 0, PartNumber=2) == parts[1]
    refused(lambda: read(s3, "multi"), "InvalidRequest", 400)
    refused(lambda: read(s3, "multi", 1), "AccessDenied", 403)
    # from an object with a key into one without, and one with another
    for k in (None, 1):
        up = {**B, "Key": "multi2", "UploadId": s3.create_multipart_upload(**B, Key="multi2", **key(k))["UploadId"]}
        e = s3.upload_part_copy(**up, PartNumber=1, CopySource="bucket/large", **key(k), **key(0, True))["CopyPartResult"]["ETag"]
        s3.complete_multipart_upload(**up, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": e}]})
        assert read(s3, "multi2", k) == LARGE
    s3.delete_object(**B, Key="multi2")
    up = {**B, "Key": "no", "UploadId": s3.create_multipart_upload(**B, Key="no")["UploadId"]}
    refused(lambda: s3.upload_part(**up, PartNumber=1, Body=b"x", **key(0)), "InvalidRequest", 400)
    s3.abort_multipart_upload(**up)


def copies(s3):
    """Every pair of keys: none, the first, the second."""
    made = []
    for name, data in (("small", SMALL), ("large", LARGE), ("empty", b"")):
        s3.put_object(**B, Key=f"c-None-{name}", Body=b"-".join([data] * 2), Metadata={"colour": "blue"})
        plain = b"-".join([data] * 2)
        for a, b in ((None, 0), (0, 1), (1, 1), (1, None), (None, None)):
            source, to = f"c-{a}-{name}", f"c-{b}-{name}"
            at = {"CopySource": f"bucket/{source}", **B}
            if a is not None:
                refused(lambda: s3.copy_object(Key="no", **at, **key(b)), "InvalidRequest", 400)
                refused(lambda: s3.copy_object(Key="no", **at, **key(b), **key(1 - a, True)), "AccessDenied", 403)
            else:
                refused(lambda: s3.copy_object(Key="no", **at, **key(b), **key(0, True)), "InvalidRequest", 400)
            more = {"MetadataDirective": "REPLACE", "Metadata": {"colour": "red"}} if source == to else {}
            r = s3.copy_object(Key=to, **at, **key(b), **key(a, True), **more)
            assert r["CopyObjectResult"]["ETag"] == f'"{hashlib.md5(plain).hexdigest()}"', r
            if b is not None:
                told(r, b)
            got = s3.get_object(**B, Key=to, **key(b))
            assert got["Body"].read() == plain and got["Metadata"]["colour"] == ("red" if more else got["Metadata"]["colour"]), (name, a, b)
            if b is not None:
                refused(lambda: read(s3, to), "InvalidRequest", 400)
            made.append(to)
        refused(lambda: s3.copy_object(Key=f"c-1-{name}", CopySource=f"bucket/c-1-{name}", **B, **key(1), **key(1, True)), "InvalidRequest", 400)
        s3.copy_object(Key=f"c-1-{name}", CopySource=f"bucket/c-1-{name}", **B, **key(0), **key(1, True))  # the key is changed
        assert read(s3, f"c-1-{name}", 0) == plain
    # an object of parts becomes one of a single part
    whole = read(s3, "multi", 0)
    r = s3.copy_object(**B, Key="one", CopySource="bucket/multi", **key(1), **key(0, True))
    assert r["CopyObjectResult"]["ETag"] == f'"{hashlib.md5(whole).hexdigest()}"'
    assert read(s3, "one", 1) == whole and read(s3, "one", 1, PartNumber=1) == whole
    r = s3.copy_object(**B, Key="same", CopySource="bucket/multi", **key(0), **key(0, True))
    assert r["CopyObjectResult"]["ETag"].endswith('-2"') and read(s3, "same", 0) == whole
    refused(lambda: read(s3, "same", 1), "AccessDenied", 403)
    for to in set(made):
        s3.delete_object(**B, Key=to)  # they came from plain bytes, which are on the disk


def checksums(s3):
    s3.put_object(**B, Key="sum", Body=SMALL, ChecksumAlgorithm="SHA256", **key(0))
    want = base64.b64encode(hashlib.sha256(SMALL).digest()).decode()
    s3.copy_object(**B, Key="sum", CopySource="bucket/sum", **key(1), **key(0, True))
    r = s3.head_object(**B, Key="sum", ChecksumMode="ENABLED", **key(1))
    assert r["ChecksumSHA256"] == want, r


def policies(s3):
    """A bucket can ask that all that is put has a key."""
    asks = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::bucket/*",
            "Condition": {"Null": {"s3:x-amz-server-side-encryption-customer-algorithm": "true"}}}
    s3.put_bucket_policy(**B, Policy=json.dumps({"Version": "2012-10-17", "Statement": [asks]}))
    refused(lambda: s3.put_object(**B, Key="asked", Body=b"x"), "AccessDenied", 403)
    s3.put_object(**B, Key="asked", Body=SMALL, **key(0))
    s3.delete_bucket_policy(**B)


def form(c, s3):
    fields = {f"x-amz-server-side-encryption-customer-{n}": v for n, v in
              (("algorithm", "AES256"), ("key", base64.b64encode(KEYS[0]).decode()),
               ("key-MD5", base64.b64encode(hashlib.md5(KEYS[0]).digest()).decode()))}
    made = connect(c, signature_version="s3v4").generate_presigned_post(
        "bucket", "form", Fields=dict(fields), Conditions=[{k: v} for k, v in fields.items()])["fields"]
    body = "".join(f'--xyz\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in made.items()).encode()
    body += b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n' + SMALL + b"\r\n--xyz--\r\n"
    node = c.nodes[0]
    conn = http.client.HTTPSConnection(node.address, node.port, context=ssl.create_default_context(cafile=f"{node.dir}/tls/ca.pem"))
    conn.request("POST", "/bucket", body, {"Content-Type": "multipart/form-data; boundary=xyz"})
    r = conn.getresponse()
    assert r.status == 204 and r.getheader("x-amz-server-side-encryption-customer-algorithm") == "AES256", (r.status, r.read())
    conn.close()
    assert read(s3, "form", 0) == SMALL


def at_rest(c):
    """Nothing of the bytes, and nothing of the keys."""
    secret = [MARK[:30], KEYS[0], base64.b64encode(KEYS[0]), KEYS[0].hex().encode(),
              hashlib.md5(KEYS[0]).digest(), base64.b64encode(hashlib.md5(KEYS[0]).digest())]
    seen = 0
    for root, _, files in os.walk(c.nodes[0].dir):
        for name in files:
            path = os.path.join(root, name)
            if not os.path.isfile(path):
                continue
            with open(path, "rb") as f:
                data = f.read()
            seen += len(data)
            for s in secret:
                assert s not in data, (path, s)
    assert seen > len(LARGE), seen


def verified(c):
    dir_ = c.nodes[0].dir
    r = c.tool("sxadm", "node", "scrub", "--now", "--wait", "--json", "--dir", dir_, check=False)
    found = json.loads(r.out)
    assert r.returncode == 0 and found["damaged"] == 0 and found["blocks"] > 0, (r.returncode, found)
    r = c.tool("sxadm", "node", "check", "--deep", "--json", "--dir", dir_, check=False)
    assert r.returncode == 0, (r.returncode, r.out, r.err)
    s = c.status()
    assert s["health"] == "ok" and s["lost"] == 0, s


def native(c, s3):
    """A native client is told why; it can list, move, copy inside the cluster and remove, all of which need no bytes."""
    out = f"{c.dir}/out"
    for name in ("small", "large", "multi"):
        r = c.tool("sxcp", f"@t/bucket/{name}", out, check=False, timeout=20)
        assert r.returncode != 0 and "SSE-C" in r.err and not os.path.exists(out), (r.returncode, r.err)
        r = c.tool("sxcat", f"@t/bucket/{name}", check=False, timeout=20)
        assert r.returncode != 0 and "SSE-C" in r.err and MARK not in r.stdout, r.err
    assert re.search(rf"\b{len(LARGE)}\b.*large", c.tool("sxls", "-l", "@t/bucket/").out)
    c.tool("sxcp", "@t/bucket/large", "@t/bucket/native")
    assert read(s3, "native", 0) == LARGE
    refused(lambda: read(s3, "native"), "InvalidRequest", 400)
    c.tool("sxmv", "@t/bucket/native", "@t/bucket/moved")
    assert read(s3, "moved", 0) == LARGE
    c.tool("sxrm", "@t/bucket/moved")


def repaired(c):
    """A damaged block comes back from the other nodes, though nobody here can open it."""
    c.wait_replicated()
    node = c.nodes[1]
    pack = max(glob.glob(f"{node.dir}/store/packs/*.pack"), key=os.path.getsize)
    with open(pack, "r+b") as f:
        f.seek(os.path.getsize(pack) // 2)
        byte = f.read(1)[0]
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte ^ 16]))
    r = c.tool("sxadm", "node", "scrub", "--now", "--wait", "--json", "--dir", node.dir, check=False)
    assert json.loads(r.out)["damaged"] == 1, r.out
    wait_for("the damaged block to be fetched anew", 30, lambda: all(n["bad"] == 0 for n in c.status()["nodes"]), every=0.3)
    assert c.tool("sxadm", "node", "check", "--deep", "--dir", node.dir).returncode == 0
    assert read(connect(c, endpoint=f"https://{node.address}:{node.port}"), "large", 0) == LARGE
    say("what was damaged came back")


def main():
    warnings.simplefilter("ignore")
    with Cluster("s3-customer", options=["--s3-port", str(S3_PORT)]) as c:
        s3 = connect(c)
        s3.create_bucket(**B)
        put_and_get(s3)
        bad_headers(s3)
        plain_http(c)
        say("put, get, head, attributes; what is refused")
        multipart(s3)
        form(c, s3)
        policies(s3)
        checksums(s3)
        say("parts, forms, policies, checksums")
        at_rest(c)
        copies(s3)
        say("copies")
        verified(c)
        native(c, s3)
        c.check_logs()
        say("at rest, scrub, check, native clients")
    with Cluster("s3-customer3", nodes=3, options=["--s3-port", str(S3_PORT)],
                 settings={"s3_external": "https://objects.test"}) as c:
        c.tool("sxvol", "create", "--replica", "3", "@t/bucket")
        s3 = connect(c, endpoint=f"http://{c.nodes[0].address}:{S3_PORT}")
        s3.put_object(**B, Key="large", Body=LARGE, **key(0))
        assert read(s3, "large", 0) == LARGE
        say("by a proxy that speaks TLS")
        refused(lambda: read(connect(c, endpoint=f"http://{c.nodes[1].address}:{S3_PORT}"), "large", 0), "InvalidRequest", 400)
        repaired(c)


main()
