# SPDX-License-Identifier: GPL-2.0-or-later
"""s3fs, over TLS: files, directories, renames, modes and times through a mount.  Needs /dev/fuse and the right to mount.
The certificate is not checked: s3fs takes only CAs that the machine trusts."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import Cluster, need, say, skip, wait_for  # noqa: E402
from s3 import FULL, MIB, Site, make_tree, read, same_trees, write  # noqa: E402


def use(mount, c):
    tree = make_tree(f"{c.dir}/tree", files=30 if FULL else 8, size=(60 if FULL else 12) * MIB)
    shutil.copytree(tree, f"{mount}/tree")
    same_trees(tree, f"{mount}/tree")
    os.rename(f"{mount}/tree/large", f"{mount}/moved")
    os.chmod(f"{mount}/moved", 0o600)
    os.utime(f"{mount}/moved", (1e9, 1e9))
    st = os.stat(f"{mount}/moved")
    assert (st.st_mode & 0o777, int(st.st_mtime)) == (0o600, 10**9), st
    with open(f"{mount}/moved", "ab") as f:
        f.write(b"appended")
    assert read(f"{mount}/moved") == read(f"{tree}/large") + b"appended"
    os.rename(f"{mount}/tree", f"{mount}/renamed")
    assert sorted(os.listdir(mount)) == ["moved", "renamed"], os.listdir(mount)
    shutil.rmtree(f"{mount}/renamed")
    assert os.listdir(mount) == ["moved"]


def main():
    need("s3fs", "fusermount")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        skip("/dev/fuse cannot be opened")
    with Cluster("s3fs") as c:
        s = Site(c)
        assert s.raw().request("PUT", "/seven").status == 200
        write(f"{c.dir}/passwd", f"{s.access}:{s.secret}\n".encode())
        os.chmod(f"{c.dir}/passwd", 0o600)
        mount = f"{c.dir}/mount"
        os.mkdir(mount)
        c.background.append(subprocess.Popen(
            ["s3fs", "seven", mount, "-f", "-o", f"url={s.url},use_path_request_style,passwd_file={c.dir}/passwd,retries=1",
             "-o", "multipart_size=5,enable_noobj_cache,no_check_certificate"], env=s.env))
        try:
            wait_for("the mount", 10, lambda: os.path.ismount(mount) or c.background[-1].poll() is not None)
            if not os.path.ismount(mount):
                skip("s3fs cannot mount here")
            use(mount, c)
            say("files, renames, modes, times")
        finally:
            subprocess.run(["fusermount", "-uz", mount], check=False)


main()
