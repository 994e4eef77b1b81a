# SPDX-License-Identifier: GPL-2.0-or-later
"""duplicity, over TLS and in short over plain HTTP: a full and an incremental backup, verify, restore."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import Cluster, need, say  # noqa: E402
from s3 import FULL, MIB, PLAIN, Site, make_tree, same_trees, write  # noqa: E402


def main():
    need("duplicity")
    with Cluster("duplicity", options=PLAIN) as c:
        s = Site(c)
        tree = make_tree(f"{c.dir}/tree", files=50 if FULL else 8, size=(100 if FULL else 4) * MIB)
        env = {"AWS_CA_BUNDLE": s.ca}

        def duplicity(*words, site=s):
            return s.run("duplicity", "--no-encryption", "--archive-dir", f"{c.dir}/archive", "--s3-endpoint-url", site.url,
                         "--num-retries", "1", *words, env=env)

        assert s.raw().request("PUT", "/six").status == 200
        duplicity("full", tree, "boto3+s3://six/backup")
        write(f"{tree}/more", b"more")
        duplicity("incremental", tree, "boto3+s3://six/backup")
        duplicity("verify", "boto3+s3://six/backup", tree)
        duplicity("restore", "boto3+s3://six/backup", f"{c.dir}/back")
        same_trees(tree, f"{c.dir}/back")
        say("full, incremental, verify, restore")
        plain = Site(c, plain=True)
        duplicity("full", f"{tree}/d0", "boto3+s3://six/plain", site=plain)
        duplicity("restore", "boto3+s3://six/plain", f"{c.dir}/plain", site=plain)
        same_trees(f"{tree}/d0", f"{c.dir}/plain")
        say("plain HTTP")


main()
