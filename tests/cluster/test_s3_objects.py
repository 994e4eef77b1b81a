# SPDX-License-Identifier: GPL-2.0-or-later
"""S3, what objects can do beside being put and got, with boto3: object lock, attributes, parts of reads, copies into parts,
completing an upload twice, forms of browsers; names and ports under which S3 is reached."""
import base64
import datetime
import hashlib
import hmac
import http.client
import json
import os
import re
import ssl
import sys
import warnings
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from boto import connect, refused  # noqa: E402
from cluster import Cluster, say  # noqa: E402

MIB = 1 << 20
LOCKED = {"Bucket": "locked", "Key": "k"}


def read(s3, key, **more):
    return s3.get_object(Bucket="bucket", Key=key, **more)["Body"].read()


def until(**when):
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(**when)


def raw(s3, method, **params):
    """The same request with its body replaced: XML that boto3 would not write."""
    body = params.pop("body")

    def replace(request, **_):
        request.data = body
        del request.headers["Content-MD5"]  # assignment would add another
        request.headers["Content-MD5"] = base64.b64encode(hashlib.md5(body).digest()).decode()
        for name in [n for n in request.headers.keys() if n.lower().startswith(("x-amz-checksum", "x-amz-sdk-checksum"))]:
            del request.headers[name]
    event = "before-sign.s3." + "".join(w.capitalize() for w in method.split("_"))
    s3.meta.events.register(event, replace)
    try:
        return getattr(s3, method)(**params)
    finally:
        s3.meta.events.unregister(event, replace)


# ---- many at once ----

def delete_many(s3):
    """More keys than are submitted together; each has its own result, in order."""
    s3.create_bucket(Bucket="many", ObjectLockEnabledForBucket=True)
    held = s3.put_object(Bucket="many", Key="held", Body=b"h", ObjectLockLegalHoldStatus="ON")["VersionId"]
    free = s3.put_object(Bucket="many", Key="free", Body=b"f")["VersionId"]
    s3.put_bucket_policy(Bucket="many", Policy=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::many/denied*"}]}))
    odd = {0: {"Key": "denied0"}, 1: {"Key": "held", "VersionId": held}, 255: {"Key": "free", "VersionId": free},
           256: {"Key": "denied1"}, 300: {"Key": "held", "VersionId": "0123456789abcdef"}, 301: {"Key": "held", "VersionId": "x"},
           302: {"Key": "held"}, 599: {"Key": "denied2"}}
    asked = [odd.get(i, {"Key": f"absent/{i}"}) for i in range(600)]
    r = s3.delete_objects(Bucket="many", Delete={"Objects": asked})
    assert [(e["Key"], e["Code"]) for e in r["Errors"]] == [
        ("denied0", "AccessDenied"), ("held", "AccessDenied"), ("denied1", "AccessDenied"), ("held", "InvalidArgument"),
        ("denied2", "AccessDenied")], r["Errors"]
    bad = (0, 1, 256, 301, 599)
    assert [d["Key"] for d in r["Deleted"]] == [o["Key"] for i, o in enumerate(asked) if i not in bad]
    made = {d["Key"]: d for d in r["Deleted"] if d.get("DeleteMarker")}
    marker = made["held"]["DeleteMarkerVersionId"]
    assert s3.delete_objects(Bucket="many", Delete={"Objects": [{"Key": "held", "VersionId": marker}], "Quiet": True}).get(
        "Deleted") is None
    assert s3.get_object(Bucket="many", Key="held")["Body"].read() == b"h"
    refused(lambda: s3.get_object(Bucket="many", Key="free", VersionId=free), "NoSuchVersion", 404)


# ---- object lock ----

def lock_of_buckets(s3):
    refused(lambda: s3.get_object_lock_configuration(Bucket="bucket"), "ObjectLockConfigurationNotFoundError", 404)
    on = {"ObjectLockEnabled": "Enabled"}
    refused(lambda: s3.put_object_lock_configuration(Bucket="bucket", ObjectLockConfiguration=on), "InvalidBucketState", 409)
    s3.create_bucket(Bucket="late")
    s3.put_bucket_versioning(Bucket="late", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object_lock_configuration(Bucket="late", ObjectLockConfiguration=on)
    assert s3.get_object_lock_configuration(Bucket="late")["ObjectLockConfiguration"] == on
    event, lock = "before-sign.s3.CreateBucket", "x-amz-bucket-object-lock-enabled"

    def older(request, **_):  # botocore up to 2023 spells it so
        request.headers.replace_header(lock, "True")
    s3.meta.events.register(event, older)
    s3.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    s3.meta.events.unregister(event, older)
    for retention in ({"Mode": "GOVERNANCE", "Years": 2}, {"Mode": "COMPLIANCE", "Days": 730}):
        config = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}}
        s3.put_object_lock_configuration(Bucket="late", ObjectLockConfiguration=config)
        assert s3.get_object_lock_configuration(Bucket="late")["ObjectLockConfiguration"] == config
    for bad, code in (({"Mode": "GOVERNANCE", "Days": 0}, "InvalidRetentionPeriod"),
                      ({"Mode": "GOVERNANCE", "Years": 101}, "InvalidRetentionPeriod"),
                      ({"Mode": "GOVERNANCE", "Years": 1, "Days": 1}, "MalformedXML"),
                      ({"Mode": "governance", "Days": 1}, "MalformedXML"), ({"Days": 1}, "MalformedXML")):
        config = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": bad}}
        refused(lambda: s3.put_object_lock_configuration(Bucket="late", ObjectLockConfiguration=config), code, 400)
    v = s3.put_object(Bucket="late", Key="x", Body=b"x")["VersionId"]
    r = s3.get_object_retention(Bucket="late", Key="x", VersionId=v)["Retention"]
    assert r["Mode"] == "COMPLIANCE" and until(days=729) < r["RetainUntilDate"] < until(days=731), r
    refused(lambda: s3.put_bucket_versioning(Bucket="late", VersioningConfiguration={"Status": "Suspended"}),
            "InvalidBucketState", 409)


def retention(s3):
    put = {"Mode": "GOVERNANCE", "RetainUntilDate": until(days=2)}
    refused(lambda: s3.get_object_retention(Bucket="bucket", Key="multi"), "InvalidRequest", 400)
    refused(lambda: s3.put_object_retention(Bucket="bucket", Key="multi", Retention=put), "InvalidRequest", 400)
    refused(lambda: s3.get_object_retention(**LOCKED), "NoSuchKey", 404)
    v = s3.put_object(Body=b"1", **LOCKED)["VersionId"]
    refused(lambda: s3.get_object_retention(**LOCKED), "NoSuchObjectLockConfiguration", 404)
    refused(lambda: s3.get_object_retention(VersionId="0000000000000001", **LOCKED), "NoSuchVersion", 404)
    refused(lambda: s3.put_object_retention(Retention={"Mode": "x", "RetainUntilDate": until(days=1)}, **LOCKED), "MalformedXML", 400)
    refused(lambda: s3.put_object_retention(Retention={"Mode": "GOVERNANCE"}, **LOCKED), "MalformedXML", 400)
    refused(lambda: s3.put_object_retention(Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until(days=-1)}, **LOCKED),
            "InvalidArgument", 400)
    s3.put_object_retention(Retention=put, **LOCKED)
    assert s3.get_object_retention(**LOCKED)["Retention"] == put
    r = s3.head_object(**LOCKED)
    assert (r["ObjectLockMode"], r["ObjectLockRetainUntilDate"]) == ("GOVERNANCE", put["RetainUntilDate"]), r
    refused(lambda: s3.delete_object(VersionId=v, **LOCKED), "AccessDenied", 403)
    shorter = {"Mode": "GOVERNANCE", "RetainUntilDate": until(days=1)}
    refused(lambda: s3.put_object_retention(Retention=shorter, **LOCKED), "AccessDenied", 403)
    s3.put_object_retention(Retention=shorter, BypassGovernanceRetention=True, **LOCKED)
    assert s3.get_object_retention(**LOCKED)["Retention"] == shorter
    bare = f"<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>{until(days=3):%Y-%m-%dT%H:%M:%SZ}</RetainUntilDate></Retention>"
    raw(s3, "put_object_retention", Retention=put, body=bare.encode(), **LOCKED)
    assert s3.get_object_retention(**LOCKED)["Retention"]["RetainUntilDate"] > until(days=2)
    s3.put_object_retention(Retention={}, BypassGovernanceRetention=True, **LOCKED)
    refused(lambda: s3.get_object_retention(**LOCKED), "NoSuchObjectLockConfiguration", 404)
    s3.put_object_retention(Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until(days=1)}, **LOCKED)
    for less in (shorter, {}, {"Mode": "GOVERNANCE", "RetainUntilDate": until(days=9)}):
        refused(lambda: s3.put_object_retention(Retention=less, BypassGovernanceRetention=True, **LOCKED), "AccessDenied", 403)
    refused(lambda: s3.delete_object(VersionId=v, BypassGovernanceRetention=True, **LOCKED), "AccessDenied", 403)


def legal_hold(s3):
    one = {"Bucket": "locked", "Key": "hold"}
    refused(lambda: s3.get_object_legal_hold(Bucket="bucket", Key="multi"), "InvalidRequest", 400)
    refused(lambda: s3.put_object_legal_hold(Bucket="bucket", Key="multi", LegalHold={"Status": "ON"}), "InvalidRequest", 400)
    v = s3.put_object(Body=b"1", **one)["VersionId"]
    refused(lambda: s3.get_object_legal_hold(**one), "NoSuchObjectLockConfiguration", 404)
    refused(lambda: s3.put_object_legal_hold(LegalHold={"Status": "on"}, **one), "MalformedXML", 400)
    refused(lambda: s3.put_object(Body=b"x", ObjectLockLegalHoldStatus="on", **one), "InvalidArgument", 400)
    s3.put_object_legal_hold(LegalHold={"Status": "ON"}, **one)
    assert s3.get_object_legal_hold(**one)["LegalHold"] == {"Status": "ON"}
    assert s3.head_object(**one)["ObjectLockLegalHoldStatus"] == "ON"
    refused(lambda: s3.delete_object(VersionId=v, BypassGovernanceRetention=True, **one), "AccessDenied", 403)
    marker = s3.delete_object(**one)["VersionId"]
    refused(lambda: s3.get_object_legal_hold(**one), "NoSuchKey", 404)
    refused(lambda: s3.get_object_legal_hold(VersionId=marker, **one), "MethodNotAllowed", 405)
    s3.put_object_legal_hold(LegalHold={"Status": "OFF"}, VersionId=v, **one)
    assert s3.get_object_legal_hold(VersionId=v, **one)["LegalHold"] == {"Status": "OFF"}
    assert s3.head_object(VersionId=v, **one)["ObjectLockLegalHoldStatus"] == "OFF"
    s3.delete_object(VersionId=v, **one)


# ---- uploads ----

def upload(s3, key, pieces, **more):
    of = {"Bucket": "bucket", "Key": key, "UploadId": s3.create_multipart_upload(Bucket="bucket", Key=key, **more)["UploadId"]}
    named = [{"PartNumber": n, "ETag": s3.upload_part(PartNumber=n, Body=piece, **of)["ETag"]} for n, piece in pieces]
    return of, named


def complete_twice(s3, data):
    of, named = upload(s3, "multi", [(2, data[:5 * MIB]), (4, data[5 * MIB:11 * MIB]), (9, data[11 * MIB:])])
    first = s3.complete_multipart_upload(MultipartUpload={"Parts": named}, **of)
    again = s3.complete_multipart_upload(MultipartUpload={"Parts": named}, **of)
    keep = ("Location", "Bucket", "Key", "ETag")
    assert {k: first[k] for k in keep} == {k: again[k] for k in keep}, (first, again)
    refused(lambda: s3.complete_multipart_upload(MultipartUpload={"Parts": named[:2]}, **of), "NoSuchUpload", 404)
    s3.copy_object(Bucket="bucket", Key="copied", CopySource="bucket/multi")
    refused(lambda: s3.complete_multipart_upload(MultipartUpload={"Parts": named}, **{**of, "Key": "copied"}), "NoSuchUpload", 404)
    s3.create_bucket(Bucket="repeated")
    s3.put_bucket_versioning(Bucket="repeated", VersioningConfiguration={"Status": "Enabled"})
    up = {"Bucket": "repeated", "Key": "k"}
    up["UploadId"] = s3.create_multipart_upload(**up)["UploadId"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": s3.upload_part(PartNumber=1, Body=b"1", **up)["ETag"]}]}
    first = s3.complete_multipart_upload(MultipartUpload=parts, **up)
    for key in ("k", "k", "k2"):
        s3.put_object(Bucket="repeated", Key=key, Body=b"above")
    s3.delete_object(Bucket="repeated", Key="k")
    again = s3.complete_multipart_upload(MultipartUpload=parts, **up)
    assert again["VersionId"] == first["VersionId"] and again["ETag"] == first["ETag"], (first, again)
    s3.delete_object(Bucket="repeated", Key="k", VersionId=first["VersionId"])
    refused(lambda: s3.complete_multipart_upload(MultipartUpload=parts, **up), "NoSuchUpload", 404)
    of, named = upload(s3, "multi", [(1, b"new")])
    refused(lambda: s3.complete_multipart_upload(MultipartUpload={"Parts": [{"PartNumber": 1}]}, **of), "InvalidPart", 400)
    s3.abort_multipart_upload(**of)


def parts_of_reads(s3, data):
    bounds = [0, 5 * MIB, 11 * MIB, len(data)]
    for n in (1, 2, 3):
        r = s3.get_object(Bucket="bucket", Key="multi", PartNumber=n)
        assert r["Body"].read() == data[bounds[n - 1]:bounds[n]], n
        assert r["PartsCount"] == 3 and r["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert r["ContentRange"] == f"bytes {bounds[n - 1]}-{bounds[n] - 1}/{len(data)}", r
        r = s3.head_object(Bucket="bucket", Key="multi", PartNumber=n)
        assert r["ContentLength"] == bounds[n] - bounds[n - 1] and r["PartsCount"] == 3
    refused(lambda: read(s3, "multi", PartNumber=4), "InvalidPartNumber", 416)
    refused(lambda: read(s3, "multi", PartNumber=0), "InvalidArgument", 400)
    refused(lambda: read(s3, "multi", PartNumber=1, Range="bytes=0-1"), "InvalidRequest", 400)
    s3.put_object(Bucket="bucket", Key="one", Body=b"one")
    r = s3.get_object(Bucket="bucket", Key="one", PartNumber=1)
    assert r["Body"].read() == b"one" and "PartsCount" not in r and r["ContentRange"] == "bytes 0-2/3"
    refused(lambda: read(s3, "one", PartNumber=2), "InvalidPartNumber", 416)
    of, named = upload(s3, "empty-end", [(1, data[:5 * MIB]), (2, b"")])
    s3.complete_multipart_upload(MultipartUpload={"Parts": named}, **of)
    assert read(s3, "empty-end", PartNumber=1) == data[:5 * MIB] and read(s3, "empty-end", PartNumber=2) == b""
    assert s3.head_object(Bucket="bucket", Key="empty-end", PartNumber=2)["PartsCount"] == 2


def attributes(s3, data):
    every = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    r = s3.get_object_attributes(Bucket="bucket", Key="multi", ObjectAttributes=every)
    assert r["ETag"] == s3.head_object(Bucket="bucket", Key="multi")["ETag"].strip('"') and r["StorageClass"] == "STANDARD"
    assert r["ObjectSize"] == len(data) and r["ObjectParts"]["TotalPartsCount"] == 3, r
    sizes = [(p["PartNumber"], p["Size"]) for p in r["ObjectParts"]["Parts"]]
    assert sizes == [(1, 5 * MIB), (2, 6 * MIB), (3, len(data) - 11 * MIB)] and not r["ObjectParts"]["IsTruncated"], r
    r = s3.get_object_attributes(Bucket="bucket", Key="multi", ObjectAttributes=["ObjectParts"], MaxParts=1, PartNumberMarker=1)
    assert [p["PartNumber"] for p in r["ObjectParts"]["Parts"]] == [2] and r["ObjectParts"]["IsTruncated"], r
    assert int(r["ObjectParts"]["NextPartNumberMarker"]) == 2 and "ETag" not in r
    s3.put_object(Bucket="bucket", Key="sum", Body=b"hello", ChecksumAlgorithm="SHA256")
    r = s3.get_object_attributes(Bucket="bucket", Key="sum", ObjectAttributes=every)
    assert r["Checksum"]["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(b"hello").digest()).decode(), r
    assert "ObjectParts" not in r
    refused(lambda: s3.get_object_attributes(Bucket="bucket", Key="sum", ObjectAttributes=["Colour"]), "InvalidArgument", 400)
    refused(lambda: s3.get_object_attributes(Bucket="bucket", Key="none", ObjectAttributes=["ETag"]), "NoSuchKey", 404)


def create_upload(s3, key, algorithm, kind):
    """An upload with a type of checksum, which boto3 could not say before 2025."""
    def typed(request, **_):
        del request.headers["x-amz-checksum-type"]
        request.headers["x-amz-checksum-type"] = kind
    s3.meta.events.register("before-sign.s3.CreateMultipartUpload", typed)
    up = s3.create_multipart_upload(Bucket="bucket", Key=key, ChecksumAlgorithm=algorithm)["UploadId"]
    s3.meta.events.unregister("before-sign.s3.CreateMultipartUpload", typed)
    return up


def sums_of_parts(s3, data):
    """The checksum of each part, as told by GetObjectAttributes and GetObject: of many, of one alone, of an empty last one, of a copy."""
    pieces = [data[:5 * MIB], data[5 * MIB:10 * MIB], data[10 * MIB:]]
    for algorithm, kind, sum_of in (("SHA256", "COMPOSITE", lambda p: hashlib.sha256(p).digest()),
                                    ("CRC32", "FULL_OBJECT", lambda p: zlib.crc32(p).to_bytes(4, "big"))):
        element = f"Checksum{algorithm}"
        for key, some in (("three", pieces), ("one", pieces[:1]), ("empty", [pieces[0], b""]), ("nothing", [b""])):
            of = {"Bucket": "bucket", "Key": key}
            up = create_upload(s3, key, algorithm, kind)
            named = []
            for n, piece in enumerate(some, 1):
                r = s3.upload_part(UploadId=up, PartNumber=n, Body=piece, ChecksumAlgorithm=algorithm, **of)
                named.append({"PartNumber": n, "ETag": r["ETag"], element: r[element]})
            s3.complete_multipart_upload(UploadId=up, MultipartUpload={"Parts": named}, **of)
            want = [base64.b64encode(sum_of(p)).decode() for p in some]
            s3.copy_object(CopySource=f"bucket/{key}", Bucket="bucket", Key="copy", MetadataDirective="REPLACE")
            for k in (key, "copy"):
                parts = s3.get_object_attributes(Bucket="bucket", Key=k, ObjectAttributes=["ObjectParts"])["ObjectParts"]["Parts"]
                assert [p.get(element) for p in parts] == want, (algorithm, k, key, parts, want)
                assert [p["Size"] for p in parts] == [len(p) for p in some]
                for n, piece in enumerate(some, 1):
                    r = s3.get_object(Bucket="bucket", Key=k, PartNumber=n, ChecksumMode="ENABLED")
                    assert (r["Body"].read(), r.get(element)) == (piece, want[n - 1]), (algorithm, k, key, n, r)
            assert not s3.head_object(Bucket="bucket", Key=key)["Metadata"]
    page = s3.get_object_attributes(Bucket="bucket", Key="three", ObjectAttributes=["ObjectParts"], MaxParts=1, PartNumberMarker=1)
    assert [p["ChecksumCRC32"] for p in page["ObjectParts"]["Parts"]] == [base64.b64encode(
        zlib.crc32(pieces[1]).to_bytes(4, "big")).decode()], page


def part_copies(s3, data):
    of, _ = upload(s3, "made", [], ChecksumAlgorithm="SHA256")
    copy = {"CopySource": "bucket/multi", **of}
    etag = s3.head_object(Bucket="bucket", Key="multi")["ETag"]
    first, last = 3 * MIB + 7, 9 * MIB + 1
    r = s3.upload_part_copy(PartNumber=1, CopySourceRange=f"bytes={first}-{last}", CopySourceIfMatch=etag, **copy)["CopyPartResult"]
    piece = data[first:last + 1]
    assert r["ETag"] == '"' + hashlib.md5(piece).hexdigest() + '"', r
    assert r["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(piece).digest()).decode(), r
    whole = s3.upload_part_copy(PartNumber=2, **copy)["CopyPartResult"]
    assert whole["ETag"] == '"' + hashlib.md5(data).hexdigest() + '"', whole
    refused(lambda: s3.upload_part_copy(PartNumber=3, CopySourceIfNoneMatch=etag, **copy), "PreconditionFailed", 412)
    for bad in (f"bytes=0-{len(data)}", "bytes=5-", "bytes=-5", "0-5"):
        refused(lambda: s3.upload_part_copy(PartNumber=3, CopySourceRange=bad, **copy), "InvalidArgument", 400)
    refused(lambda: s3.upload_part_copy(PartNumber=3, **{**copy, "CopySource": "bucket/none"}), "NoSuchKey", 404)
    refused(lambda: s3.upload_part_copy(PartNumber=3, **{**copy, "UploadId": "0" * 32}), "NoSuchUpload", 404)
    named = [{"PartNumber": n, "ETag": p["ETag"], "ChecksumSHA256": p["ChecksumSHA256"]} for n, p in ((1, r), (2, whole))]
    s3.complete_multipart_upload(MultipartUpload={"Parts": named}, **of)
    assert read(s3, "made") == piece + data
    assert read(s3, "made", PartNumber=2) == data


# ---- forms ----

def post(c, fields, file, name="dir/up.txt", path="/bucket"):
    """Sends a form; status, headers in lower case, body."""
    line = "--xyz\r\nContent-Disposition: form-data; name="
    body = "".join(f'{line}"{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()).encode()
    if file is not None:
        body += f'{line}"file"; filename="{name}"\r\nContent-Type: text/x-part\r\n\r\n'.encode() + file + b"\r\n--xyz\r\n"
    node = c.nodes[0]
    conn = http.client.HTTPSConnection(node.address, node.port, context=ssl.create_default_context(cafile=f"{node.dir}/tls/ca.pem"))
    conn.request("POST", path, body, {"Content-Type": "multipart/form-data; boundary=xyz"})
    r = conn.getresponse()
    answer = r.status, {k.lower(): v for k, v in r.getheaders()}, r.read().decode()
    conn.close()
    return answer


def form_refused(answer, status, code):
    assert (answer[0], re.search("<Code>(.*)</Code>", answer[2]).group(1)) == (status, code), answer


def forms(c, s3):
    conditions = [["starts-with", "$key", "up/"], {"success_action_status": "201"}, ["content-length-range", 3, 8 * MIB],
                  ["starts-with", "$Content-Type", "text/"], {"x-amz-meta-colour": "blue"}]
    more = {"success_action_status": "201", "Content-Type": "text/plain", "x-amz-meta-colour": "blue"}
    signer = connect(c, signature_version="s3v4")
    made = signer.generate_presigned_post("bucket", "up/${filename}", Fields=dict(more), Conditions=conditions)["fields"]
    file = os.urandom(3 * MIB) + b"\r\n--xy"
    status, headers, body = post(c, made, file)
    etag = f'"{hashlib.md5(file).hexdigest()}"'
    assert status == 201 and headers["etag"] == etag and headers["location"].endswith("/bucket/up/up.txt"), (status, headers, body)
    assert "<Key>up/up.txt</Key>" in body and f"<ETag>{etag.replace(chr(34), '&quot;')}</ETag>" in body, body
    r = s3.get_object(Bucket="bucket", Key="up/up.txt")
    assert r["Body"].read() == file and r["ContentType"] == "text/plain" and r["Metadata"] == {"colour": "blue"}, r
    form_refused(post(c, made, b"12"), 400, "EntityTooSmall")
    form_refused(post(c, made, bytes(8 * MIB + 1)), 400, "EntityTooLarge")
    form_refused(post(c, {**made, "key": "other/x"}, file), 403, "AccessDenied")
    form_refused(post(c, {**made, "x-amz-meta-other": "x"}, file), 403, "AccessDenied")
    form_refused(post(c, {**made, "x-amz-signature": "0" * 64}, file), 403, "SignatureDoesNotMatch")
    form_refused(post(c, {k: v for k, v in made.items() if k != "key"}, file), 400, "UserKeyMustBeSpecified")
    form_refused(post(c, made, None), 400, "MalformedPOSTRequest")
    form_refused(post(c, {"key": "x"}, file), 403, "AccessDenied")
    form_refused(post(c, {**made, "a": "x" * 100000}, file), 400, "MaxPostPreDataLengthExceeded")
    forms_v2(c, s3)


def forms_v2(c, s3):
    conditions = [{"bucket": "bucket"}, {"key": "v2"}, ["starts-with", "$success_action_redirect", ""],
                  ["starts-with", "$x-amz-checksum-sha256", ""], ["starts-with", "$tagging", ""],
                  ["starts-with", "$Content-MD5", ""], ["starts-with", "$x-amz-server-side-encryption-customer-algorithm", ""]]
    policy = base64.b64encode(json.dumps({"expiration": until(hours=1).strftime("%Y-%m-%dT%H:%M:%SZ"), "conditions": conditions}).encode())
    mac = hmac.new(c.key["secret_key"].encode(), policy, hashlib.sha1).digest()
    fields = {"key": "v2", "AWSAccessKeyId": c.key["access_key"], "policy": policy.decode(), "signature": base64.b64encode(mac).decode(),
              "success_action_redirect": "https://example.com/done?x=1"}
    sha = base64.b64encode(hashlib.sha256(b"abc").digest()).decode()
    tags = "<Tagging><TagSet><Tag><Key>a b</Key><Value>&amp;</Value></Tag></TagSet></Tagging>"
    status, headers, _ = post(c, {**fields, "x-amz-checksum-sha256": sha, "tagging": tags}, b"abc")
    etag = hashlib.md5(b"abc").hexdigest()
    assert (status, headers["location"]) == (303, f"https://example.com/done?x=1&bucket=bucket&key=v2&etag=%22{etag}%22"), headers
    assert read(s3, "v2") == b"abc"
    assert s3.get_object_tagging(Bucket="bucket", Key="v2")["TagSet"] == [{"Key": "a b", "Value": "&"}]
    form_refused(post(c, {**fields, "tagging": "<Tagging>"}, b"abd"), 400, "MalformedXML")
    form_refused(post(c, {**fields, "x-amz-server-side-encryption-customer-algorithm": "AES256"}, b"abd"), 400, "InvalidArgument")
    form_refused(post(c, {**fields, "Content-MD5": base64.b64encode(bytes(16)).decode()}, b"abd"), 400, "BadDigest")
    form_refused(post(c, {**fields, "x-amz-checksum-sha256": sha}, b"abd"), 400, "BadDigest")
    assert read(s3, "v2") == b"abc"
    form_refused(post(c, {**fields, "success_action_redirect": "", "signature": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}, b"abc"),
                 403, "SignatureDoesNotMatch")
    status, headers, _ = post(c, {**fields, "success_action_redirect": "gopher://x"}, b"abc")
    assert status == 204 and headers["location"].endswith("/bucket/v2"), headers


def refusals(c, s3):
    refused(lambda: s3.get_object_torrent(Bucket="bucket", Key="multi"), "NotImplemented", 501)
    refused(lambda: s3.restore_object(Bucket="bucket", Key="multi", RestoreRequest={"Days": 1}), "NotImplemented", 501)
    owner = s3.list_buckets()["Owner"]["ID"]
    s3.head_object(Bucket="bucket", Key="multi", ExpectedBucketOwner=owner)
    refused(lambda: read(s3, "multi", ExpectedBucketOwner="123456789012"), "AccessDenied", 403)


# ---- names and ports ----

S3_PORT = 9000


def plain(c, method, path, host=None):
    conn = http.client.HTTPConnection(c.nodes[0].address, S3_PORT)
    conn.request(method, path, headers={"Host": host} if host else {})
    r = conn.getresponse()
    answer = r.status, {k.lower(): v for k, v in r.getheaders()}, r.read().decode()
    conn.close()
    return answer


def presigned(c, endpoint, style):
    s3 = connect(c, endpoint=endpoint, style=style, signature_version="s3v4")
    url = s3.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": "one"})
    return re.fullmatch("https?://([^/]*)(/.*)", url).groups()


def names_and_ports(c):
    s3 = connect(c, endpoint=f"http://{c.nodes[0].address}:{S3_PORT}")
    s3.put_object(Bucket="bucket", Key="one", Body=b"one")
    assert read(s3, "one") == b"one"
    for path in ("/.sx/v1/status", "/.sx/../bucket/one", "/.node/v1/blocks", "/x/../.sx/v1/status", "/%2esx/v1/status"):
        status, headers, body = plain(c, "GET", path)
        assert status in (400, 403, 404) and headers["content-type"] == "application/xml" and "<Error>" in body, (path, status, body)
    host, path = presigned(c, f"http://s3.test:{S3_PORT}", "virtual")
    assert host == f"bucket.s3.test:{S3_PORT}", host
    assert plain(c, "GET", path, host)[::2] == (200, "one")
    form_refused(plain(c, "GET", path, f"bucket.other.test:{S3_PORT}"), 403, "SignatureDoesNotMatch")
    host, path = presigned(c, "https://objects.test", "path")
    assert plain(c, "GET", path)[::2] == (200, "one")
    form_refused(plain(c, "GET", presigned(c, "https://other.test", "path")[1]), 403, "SignatureDoesNotMatch")
    status, headers, body = plain(c, "GET", "/" + 20000 * "x")
    assert status == 414 and "<Code>InvalidURI</Code>" in body and headers["content-type"] == "application/xml", (status, headers, body)


def main():
    warnings.simplefilter("ignore")
    with Cluster("s3-objects", options=["--s3-port", str(S3_PORT)],
                 settings={"s3_domains": ["s3.test"], "s3_external": "objects.test"}) as c:
        s3 = connect(c)
        s3.create_bucket(Bucket="bucket")
        data = os.urandom(13 * MIB)
        complete_twice(s3, data)
        parts_of_reads(s3, data)
        attributes(s3, data)
        sums_of_parts(s3, data)
        say("parts")
        part_copies(s3, data)
        say("copies into parts")
        lock_of_buckets(s3)
        retention(s3)
        legal_hold(s3)
        say("object lock")
        delete_many(s3)
        say("many deletions")
        forms(c, s3)
        say("forms")
        refusals(c, s3)
        names_and_ports(c)
        c.check_logs()


main()
