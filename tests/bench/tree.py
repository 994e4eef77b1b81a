# SPDX-License-Identifier: GPL-2.0-or-later
"""Trees that change from version to version, for benchmarks: real files of this machine, edited by a seed.

    t = Tree(root, kinds=["source", "system"], size=1 << 30, seed=1)
    t.edit()   # the next version

A version rewrites a fifth of files that hold a tenth of the bytes (2 % of the tree: runs of lines or of 64-byte pieces in
another order, so what is new compresses like what was there), inserts a line into each of them, renames one file
in 200, and adds and removes as many.  Equal machine and seed give equal trees.  Edits are made in a process of their
own: the peak memory of a command counts that of the process which started it."""
import multiprocessing
import os
import random
import shutil

KINDS = {
    "source": ["/usr/include", "/usr/lib/python3", "/usr/lib/python3.11", "/usr/share/perl", "/usr/share/perl5"],
    "system": ["/usr/bin", "/usr/sbin", "/usr/lib/x86_64-linux-gnu", "/usr/share", "/usr/lib/gcc", "/usr/lib/llvm-14"],
}
EDITED, REWRITTEN, MOVED = 0.10, 0.20, 0.005


def walk(root):
    """Regular files below root: (path, size), in order.  Links are passed over, and what Python has cached."""
    for folder, dirs, names in os.walk(root):
        dirs[:] = sorted(d for d in dirs if d != "__pycache__")
        for name in sorted(names):
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                yield path, os.path.getsize(path)


class Tree:
    def __init__(self, root, kinds, size, seed=1):
        self.root, self.seed, self.version = root, seed, 1
        left = size
        for place in [p for k in kinds for p in KINDS[k]]:
            for path, n in walk(place):
                to = root + path
                if n <= left and not os.path.exists(to):
                    os.makedirs(os.path.dirname(to), exist_ok=True)
                    shutil.copyfile(path, to)
                    left -= n

    def files(self):
        return dict(walk(self.root))

    def size(self):
        return sum(self.files().values())

    def edit(self):
        self.version += 1
        p = multiprocessing.Process(target=Edit(self).run)
        p.start()
        p.join()
        if p.exitcode:
            raise RuntimeError("the tree could not be edited")


class Edit:
    """One version's edits."""

    def __init__(self, tree):
        self.tree, self.version = tree, tree.version
        self.rnd = random.Random(f"{tree.seed} {tree.version}")

    def run(self):
        files = self.tree.files()
        left = EDITED * sum(files.values())
        for path in self.some(files, len(files)):
            if left <= 0:
                break
            left -= files[path]
            self.rewrite(path, path)
        moved = self.some(files, max(1, int(len(files) * MOVED)))
        for path in moved:
            os.rename(path, f"{path}.v{self.version}")
        rest = sorted(files.keys() - set(moved))
        for path in self.some(rest, len(moved)):
            self.rewrite(path, f"{path}.new{self.version}")
        for path in self.some(rest, len(moved)):
            os.unlink(path)
            folder = os.path.dirname(path)
            while not os.listdir(folder):  # not every tool saves empty ones
                os.rmdir(folder)
                folder = os.path.dirname(folder)

    def some(self, names, n):
        names = sorted(names)
        return self.rnd.sample(names, min(n, len(names)))

    def rewrite(self, path, to):
        with open(path, "rb") as f:
            data = self.shuffled(f.read())
        with open(to, "wb") as f:
            f.write(data)

    def shuffled(self, data):
        text = b"\0" not in data[:4096]
        pieces = data.splitlines(True) if text else [data[i:i + 64] for i in range(0, len(data), 64)]
        n = int(len(pieces) * REWRITTEN)
        at = self.rnd.randrange(len(pieces) - n + 1)
        run = pieces[at:at + n]
        self.rnd.shuffle(run)
        pieces[at:at + n] = run
        pieces.insert(at, b"edited %d %016x\n" % (self.version, self.rnd.getrandbits(64)))
        return b"".join(pieces)
