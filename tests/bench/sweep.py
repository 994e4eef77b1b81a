#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Chunk sizes, compression and the inline threshold, swept over four data sets; prints what each would store and cost.

    SX_BUILDDIR=build tests/bench/sweep.py [--sets source,database,images,media] [--versions 10] [--size 256]

    source     versions of a source tree: headers and libraries of scripts of this machine, edited (tree.py)
    database   one file of 8 KiB pages, half full of records; each version updates 2 % of the pages, scattered
    images     raw images of a system: programs and libraries one behind the other; versions replace, add and remove some
    media      what cannot be compressed, and is never seen twice

Stored bytes are records in packs and in the metadata, and what a block, a file and an inline file cost besides (OVERHEAD,
measured with backup.py).  CPU is of one thread, in seconds per GiB of all versions."""
import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tree import Tree  # noqa: E402

MIB, GIB = 1 << 20, 1 << 30
PAGE = 8192
OVERHEAD = {"block": 105 + 52, "entry": 57, "file": 119, "inline": 63}  # bytes: index and reference, list, row, rows
UNUSED = 1.15  # pages of the metadata that hold inline records are not quite full
CHUNKS = ["32:128:512:2", "64:256:1024:2", "128:512:2048:2", "256:512:2048:1", "256:1024:4096:1", "256:1024:4096:2",
          "512:1024:4096:2", "512:2048:4096:2"]
CODECS = ["none", "lz4", "zlib:1", "zlib:6", "zstd:-1", "zstd:1", "zstd:2", "zstd:3", "zstd:4", "zstd:5", "zstd:7"]
SMALL = ["16384:3", "131072:3", "131072:5"]
INLINE = ["0", "1024", "2048", "4096", "8192", "65536"]


def source(root, size, versions):
    tree = Tree(f"{root}/tree", ["source"], size)
    for v in range(versions):
        if v:
            tree.edit()
        shutil.copytree(f"{root}/tree", f"{root}/v{v}")
    shutil.rmtree(f"{root}/tree")


def record(rnd, words):
    return b"%08d|%s|%016x|%010d|" % (rnd.randrange(10 ** 8), b" ".join(rnd.choices(words, k=4)),
                                      rnd.getrandbits(64), rnd.randrange(10 ** 6))


def page(rnd, words):
    data = rnd.randbytes(24)
    while len(data) < PAGE // 2:
        data += record(rnd, words)
    return data.ljust(PAGE, b"\0")[:PAGE]


def database(root, size, versions):
    rnd = random.Random(2)
    words = [bytes(rnd.choices(b"abcdefghijklmnopqrstuvwxyz", k=rnd.randint(2, 9))) for _ in range(4000)]
    count = size // PAGE
    pages = [page(rnd, words) for _ in range(count)]
    for v in range(versions):
        for i in rnd.sample(range(count), count // 50) if v else ():
            pages[i] = page(rnd, words)
        os.mkdir(f"{root}/v{v}")
        with open(f"{root}/v{v}/db", "wb") as f:
            f.writelines(pages)


def images(root, size, versions):
    """The files of a tree, each at a multiple of 4 KiB, as a file system would lay them out."""
    tree = Tree(f"{root}/tree", ["system"], size)
    for v in range(versions):
        if v:
            tree.edit()
        os.mkdir(f"{root}/v{v}")
        with open(f"{root}/v{v}/image", "wb") as out:
            for path in sorted(tree.files()):
                with open(path, "rb") as f:
                    data = f.read()
                out.write(data.ljust(-(-len(data) // 4096) * 4096, b"\0"))
    shutil.rmtree(tree.root)


def media(root, size, versions):
    rnd = random.Random(4)
    for v in range(min(versions, 2)):
        os.mkdir(f"{root}/v{v}")
        for i in range(size // (16 * MIB)):
            with open(f"{root}/v{v}/clip{i}", "wb") as f:
                f.write(rnd.randbytes(16 * MIB))


SETS = {"source": source, "database": database, "images": images, "media": media}


def measure(program, root, *options):
    words = [program, *options, *sorted(e.path for e in os.scandir(root))]
    r = json.loads(subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout)
    meta = (UNUSED * r["inlined_bytes"] + OVERHEAD["inline"] * r["inlined_unique"] + OVERHEAD["file"] * r["files"]
            + OVERHEAD["entry"] * r["listed"])
    r["stored"] = r["packs"] + OVERHEAD["block"] * (r["unique"] - r["inlined_unique"]) + meta
    r["meta"] = meta
    return r


def row(name, r):
    gib = r["bytes"] / GIB
    cpu = [r[k] / gib for k in ("chunk_s", "hash_s", "encode_s")]
    return (f"| {name} | {r['stored'] / MIB:.1f} | {r['meta'] / MIB:.1f} | {r['unique']:,} of {r['blocks']:,}"
            f" | {r['bytes'] / max(1, r['unique_bytes']):.2f} | {r['unique_bytes'] / max(1, r['packs'] + r['inlined_bytes']):.2f}"
            f" | {cpu[0]:.2f} + {cpu[1]:.2f} + {cpu[2]:.2f} = {sum(cpu):.2f} | {r['encode_s'] / max(1, r['unique_bytes']) * GIB:.2f} |")


HEAD = ("| setting | stored, MiB | of it metadata | blocks: stored of all | dedup | compression | CPU s/GiB: chunk + hash + encode"
        " | encode, s per new GiB |\n|---|---|---|---|---|---|---|---|")


def sweep(program, name, root):
    first = measure(program, root)
    print(f"\n### {name}: {first['files']:,} files, {first['bytes'] / MIB:,.0f} MiB\n\n{HEAD}", flush=True)
    print(row("defaults", first), flush=True)
    for flag, what, values in (("-c", "chunks", CHUNKS), ("-z", "codec", CODECS), ("-s", "small blocks", SMALL),
                               ("-i", "inline", INLINE)):
        if name != "source" and flag in "-s-i":
            continue
        for v in values:
            print(row(f"{what} {v}", measure(program, root, flag, v)), flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--sets", default=",".join(SETS))
    p.add_argument("--size", type=int, default=256, help="MiB of one version")
    p.add_argument("--versions", type=int, default=10)
    p.add_argument("--work", default="/var/tmp")
    a = p.parse_args()
    program = os.path.abspath(os.path.join(os.environ.get("SX_BUILDDIR", "."), "tests/bench/bench_chunks"))
    for name in a.sets.split(","):
        if name not in SETS:
            p.error(f"there is no data set '{name}'; there are {', '.join(SETS)}")
    for name in a.sets.split(","):
        root = tempfile.mkdtemp(prefix="sxsweep.", dir=a.work)
        try:
            SETS[name](root, a.size * MIB, a.versions)
            sweep(program, name, root)
        finally:
            shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
