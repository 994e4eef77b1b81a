# SPDX-License-Identifier: GPL-2.0-or-later
"""S3 on a real node, over TLS, with boto3: buckets, objects, ranges, conditions, multipart uploads, copies, versions, errors;
what S3 puts sxcp reads, and the reverse."""
import glob
import hashlib
import os
import random
import sys
import warnings

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from boto import connect, refused  # noqa: E402
from cluster import Cluster, say  # noqa: E402


def read(s3, key, **more):
    return s3.get_object(Bucket="bucket", Key=key, **more)["Body"].read()


def objects(s3):
    data = os.urandom(20 << 20)
    r = s3.put_object(Bucket="bucket", Key="a/b", Body=b"hello", ContentType="text/x-test", Metadata={"colour": "blue"},
                      CacheControl="max-age=1")
    assert r["ETag"] == '"' + hashlib.md5(b"hello").hexdigest() + '"', r
    r = s3.get_object(Bucket="bucket", Key="a/b")
    assert r["Body"].read() == b"hello" and r["ContentType"] == "text/x-test" and r["Metadata"] == {"colour": "blue"}
    assert r["CacheControl"] == "max-age=1" and r["ContentLength"] == 5
    s3.put_object(Bucket="bucket", Key="large", Body=data)
    assert read(s3, "large") == data
    assert read(s3, "large", Range="bytes=1000000-17000000") == data[1000000:17000001]
    assert read(s3, "large", Range="bytes=-5") == data[-5:]
    refused(lambda: read(s3, "large", Range=f"bytes={len(data)}-"), "InvalidRange", 416)
    s3.put_object(Bucket="bucket", Key="empty", Body=b"")
    assert read(s3, "empty") == b"" and s3.head_object(Bucket="bucket", Key="empty")["ContentLength"] == 0
    etag = s3.head_object(Bucket="bucket", Key="large")["ETag"]
    refused(lambda: read(s3, "large", IfNoneMatch=etag), "304", 304)
    refused(lambda: read(s3, "large", IfMatch='"0"'), "PreconditionFailed", 412)
    refused(lambda: read(s3, "nothing"), "NoSuchKey", 404)
    return data


def keys(s3):
    """Keys are opaque: what is put is what is listed and got."""
    odd = ["x", "x/y", "x//y", "/x", "x/", "./x", "../x", "%41", "a b+c", "ä/\U0001f600", "q?a=b&c", "x;y", "'\"<>&"]
    for k in odd:
        s3.put_object(Bucket="bucket", Key="odd:" + k, Body=k.encode())
    found = [o["Key"] for o in s3.list_objects_v2(Bucket="bucket", Prefix="odd:")["Contents"]]
    assert found == sorted(("odd:" + k for k in odd), key=str.encode), found
    for k in odd:
        assert read(s3, "odd:" + k) == k.encode(), k
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="bucket", Prefix="odd:", PaginationConfig={"PageSize": 2})
    assert [o["Key"] for p in pages for o in p["Contents"]] == found
    r = s3.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": k} for k in found + ["odd:none"]]})
    assert len(r["Deleted"]) == len(odd) + 1 and "Errors" not in r, r


def multipart(s3, data):
    five = 5 << 20
    pieces = [data[:five], data[five:2 * five + 7], data[2 * five + 7:]]
    up = s3.create_multipart_upload(Bucket="bucket", Key="multi", Metadata={"made": "of parts"})["UploadId"]
    of = {"Bucket": "bucket", "Key": "multi", "UploadId": up}
    s3.upload_part(PartNumber=2, Body=b"replaced", **of)
    parts = {n: s3.upload_part(PartNumber=n, Body=pieces[n // 2], **of)["ETag"] for n in (4, 2, 1)}
    assert [p["PartNumber"] for p in s3.list_parts(**of)["Parts"]] == [1, 2, 4]
    assert [u["Key"] for u in s3.list_multipart_uploads(Bucket="bucket")["Uploads"]] == ["multi"]
    named = [{"PartNumber": n, "ETag": parts[n]} for n in (1, 2, 4)]
    refused(lambda: s3.complete_multipart_upload(MultipartUpload={"Parts": named[::-1]}, **of), "InvalidPartOrder", 400)
    refused(lambda: s3.complete_multipart_upload(MultipartUpload={"Parts": named[:1] + [{"PartNumber": 3, "ETag": '"0"'}]}, **of),
            "InvalidPart", 400)
    r = s3.complete_multipart_upload(MultipartUpload={"Parts": named}, **of)
    want = hashlib.md5(b"".join(hashlib.md5(p).digest() for p in pieces)).hexdigest() + "-3"
    assert r["ETag"] == f'"{want}"', r
    assert read(s3, "multi") == data
    assert read(s3, "multi", Range=f"bytes={five - 10}-{2 * five + 20}") == data[five - 10:2 * five + 21]
    assert s3.head_object(Bucket="bucket", Key="multi")["Metadata"] == {"made": "of parts"}
    refused(lambda: s3.list_parts(**of), "NoSuchUpload", 404)
    up = s3.create_multipart_upload(Bucket="bucket", Key="never")["UploadId"]
    s3.upload_part(Bucket="bucket", Key="never", UploadId=up, PartNumber=1, Body=b"x")
    s3.abort_multipart_upload(Bucket="bucket", Key="never", UploadId=up)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="bucket")


def copies(s3, data):
    s3.copy_object(Bucket="bucket", Key="copy", CopySource="bucket/multi")
    assert read(s3, "copy") == data and s3.head_object(Bucket="bucket", Key="copy")["Metadata"] == {"made": "of parts"}
    s3.copy_object(Bucket="bucket", Key="copy", CopySource="bucket/a/b", MetadataDirective="REPLACE", Metadata={"new": "1"})
    assert read(s3, "copy") == b"hello" and s3.head_object(Bucket="bucket", Key="copy")["Metadata"] == {"new": "1"}
    refused(lambda: s3.copy_object(Bucket="bucket", Key="copy", CopySource="bucket/copy"), "InvalidRequest", 400)


def versions(s3):
    s3.put_object(Bucket="bucket", Key="v", Body=b"null")
    s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    one = s3.put_object(Bucket="bucket", Key="v", Body=b"one")["VersionId"]
    marker = s3.delete_object(Bucket="bucket", Key="v")
    assert marker["DeleteMarker"] and marker["VersionId"] != one
    refused(lambda: read(s3, "v"), "NoSuchKey", 404)
    assert read(s3, "v", VersionId=one) == b"one" and read(s3, "v", VersionId="null") == b"null"
    r = s3.list_object_versions(Bucket="bucket", Prefix="v")
    assert [(v["VersionId"], v["IsLatest"]) for v in r["Versions"]] == [(one, False), ("null", False)], r
    assert r["DeleteMarkers"][0]["IsLatest"]
    s3.delete_object(Bucket="bucket", Key="v", VersionId=marker["VersionId"])
    assert read(s3, "v") == b"one"


def with_sxcp(c, s3, data):
    with open(f"{c.dir}/native", "wb") as f:
        f.write(data)
    c.tool("sxcp", f"{c.dir}/native", "@t/bucket/native")
    assert read(s3, "native") == data
    assert s3.head_object(Bucket="bucket", Key="native")["ETag"].endswith('-1"')
    for key in ("large", "multi"):
        c.tool("sxcp", f"@t/bucket/{key}", f"{c.dir}/{key}")
        with open(f"{c.dir}/{key}", "rb") as f:
            assert f.read() == data, key


def stored(c):
    return sum(os.path.getsize(p) for p in glob.glob(f"{c.nodes[0].dir}/store/**/*.pack", recursive=True))


def same_blocks(c, s3):
    """The gateway cuts a stream, buffer by buffer, where the client cuts it: what one has stored the other finds."""
    data = random.Random(7).randbytes(30 << 20)
    s3.put_object(Bucket="bucket", Key="stream", Body=data)
    before = stored(c)
    with open(f"{c.dir}/stream", "wb") as f:
        f.write(data)
    c.tool("sxcp", f"{c.dir}/stream", "@t/bucket/stream2")
    s3.put_object(Bucket="bucket", Key="stream3", Body=data)
    assert stored(c) == before, (stored(c), before)
    assert read(s3, "stream") == read(s3, "stream2") == data


def main():
    warnings.simplefilter("ignore")
    with Cluster("s3") as c:
        s3 = connect(c)
        assert s3.list_buckets()["Buckets"] == []
        refused(lambda: s3.create_bucket(Bucket="Not_Valid"), "InvalidBucketName", 400)
        s3.create_bucket(Bucket="bucket")
        refused(lambda: s3.create_bucket(Bucket="bucket"), "BucketAlreadyOwnedByYou", 409)
        refused(lambda: s3.list_objects_v2(Bucket="other"), "NoSuchBucket", 404)
        refused(lambda: s3.get_object_torrent(Bucket="bucket", Key="x"), "NotImplemented", 501)
        data = objects(s3)
        say("objects")
        keys(s3)
        say("keys")
        multipart(s3, data)
        say("multipart")
        copies(s3, data)
        with_sxcp(c, s3, data)
        same_blocks(c, s3)
        say("copies, sxcp")
        versions(s3)
        refused(lambda: s3.delete_bucket(Bucket="bucket"), "BucketNotEmpty", 409)
        c.check_logs()


main()
