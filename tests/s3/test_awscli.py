# SPDX-License-Identifier: GPL-2.0-or-later
"""aws-cli, over TLS and in short over plain HTTP, and curl: cp, sync, ls, mv, rm, presign, large objects in parts, ranges."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import Cluster, need, say  # noqa: E402
from s3 import FULL, MIB, PLAIN, Site, make_tree, read, same_trees, write  # noqa: E402


def plain(c, tree):
    s = Site(c, plain=True)

    def aws(*words):
        return s.run("aws", "--endpoint-url", s.url, "s3", *words)

    aws("mb", "s3://plain")
    aws("cp", "--only-show-errors", f"{tree}/large", "s3://plain/large")
    url = aws("presign", "s3://plain/large").strip()
    s.run("curl", "-sSf", "-o", f"{c.dir}/plain", url)
    assert read(f"{c.dir}/plain") == read(f"{tree}/large")
    aws("cp", "--only-show-errors", "s3://plain/large", f"{c.dir}/plain")
    assert read(f"{c.dir}/plain") == read(f"{tree}/large")
    with_curl(c, s)


def with_curl(c, s):
    """curl signs, but must be told to say what the body is."""
    words = ("curl", "-sS", "--user", f"{s.access}:{s.secret}", "--aws-sigv4", "aws:amz:us-east-1:s3")
    told = words + ("-f", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD")
    write(f"{c.dir}/body", b"by curl")
    s.run(*told, "-T", f"{c.dir}/body", f"{s.url}/plain/curl")
    assert s.run(*told, f"{s.url}/plain/curl") == "by curl"
    assert "x-amz-content-sha256" in s.run(*words, f"{s.url}/plain/curl")
    s.run(*told, "-X", "DELETE", f"{s.url}/plain/curl")


def main():
    need("aws", "curl")
    with Cluster("awscli", options=PLAIN) as c:
        s = Site(c)

        def aws(*words, **more):
            return s.run("aws", "--endpoint-url", s.url, "--ca-bundle", s.ca, *words, **more)

        aws("s3", "mb", "s3://five")
        tree = make_tree(f"{c.dir}/tree", files=200 if FULL else 8, size=(500 if FULL else 20) * MIB)
        aws("s3", "sync", "--only-show-errors", tree, "s3://five/tree/")
        assert aws("s3", "sync", tree, "s3://five/tree/") == "", "a second sync sends something"
        aws("s3", "sync", "--only-show-errors", "s3://five/tree/", f"{c.dir}/back")
        same_trees(tree, f"{c.dir}/back")
        say("sync, multipart")
        aws("s3", "cp", "--only-show-errors", "s3://five/tree/large", "s3://five/copy")
        aws("s3", "mv", "--only-show-errors", "s3://five/copy", "s3://five/moved")
        assert "moved" in aws("s3", "ls", "s3://five/") and " copy" not in aws("s3", "ls", "s3://five/")
        aws("s3api", "get-object", "--bucket", "five", "--key", "moved", "--range", "bytes=1000-1999", f"{c.dir}/part")
        assert read(f"{c.dir}/part") == read(f"{tree}/large")[1000:2000]
        url = aws("s3", "presign", "s3://five/tree/large").strip()
        s.run("curl", "-sSf", "--cacert", s.ca, "-o", f"{c.dir}/got", url)
        assert read(f"{c.dir}/got") == read(f"{tree}/large")
        assert s.run("curl", "-sSf", "--cacert", s.ca, url.replace("large", "larger"), check=False) is None
        say("cp, mv, ls, ranges, presign")
        write(f"{c.dir}/body", b"locked")
        aws("s3api", "put-object", "--bucket", "five", "--key", "lock", "--body", f"{c.dir}/body", "--checksum-algorithm", "SHA256")
        aws("s3", "rm", "--recursive", "--only-show-errors", "s3://five")
        aws("s3", "rb", "s3://five")
        say("rm, rb")
        plain(c, tree)
        say("plain HTTP, curl")


main()
