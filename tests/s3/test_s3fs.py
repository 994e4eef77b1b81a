# SPDX-License-Identifier: GPL-2.0-or-later
"""s3fs, over TLS and in short over plain HTTP: files, directories, renames, modes and times through a mount.  Needs /dev/fuse and the right to mount.
The certificate is not checked: s3fs takes only CAs that the machine trusts."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cluster import Cluster, need, say, skip, wait_for  # noqa: E402
from s3 import FULL, MIB, PLAIN, Site, make_tree, read, same_trees, write  # noqa: E402


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


def mounted(c, s, options, work):
    mount = f"{c.dir}/mount"
    os.makedirs(mount, exist_ok=True)
    s3fs = subprocess.Popen(["s3fs", "seven", mount, "-f", "-o", f"url={s.url},use_path_request_style,passwd_file={c.dir}/passwd",
                             "-o", f"retries=1,multipart_size=5,enable_noobj_cache{options}"], env=s.env)
    c.background.append(s3fs)
    try:
        wait_for("the mount", 10, lambda: os.path.ismount(mount) or s3fs.poll() is not None)
        if not os.path.ismount(mount):
            skip("s3fs cannot mount here")
        work(mount, c)
    finally:
        subprocess.run(["fusermount", "-uz", mount], check=False)
    s3fs.wait(timeout=30)


def use_shortly(mount, c):
    assert os.listdir(mount) == ["moved"]
    write(f"{mount}/plain", read(f"{c.dir}/tree/large"))
    os.rename(f"{mount}/plain", f"{mount}/renamed")
    assert read(f"{mount}/renamed") == read(f"{c.dir}/tree/large")


def main():
    need("s3fs", "fusermount")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        skip("/dev/fuse cannot be opened")
    with Cluster("s3fs", options=PLAIN) as c:
        s = Site(c)
        assert s.raw().request("PUT", "/seven").status == 200
        write(f"{c.dir}/passwd", f"{s.access}:{s.secret}\n".encode())
        os.chmod(f"{c.dir}/passwd", 0o600)
        mounted(c, s, ",no_check_certificate", use)
        say("files, renames, modes, times")
        mounted(c, Site(c, plain=True), "", use_shortly)
        say("plain HTTP")


main()
