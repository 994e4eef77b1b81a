# SPDX-License-Identifier: GPL-2.0-or-later
"""The style of the tree: what can be checked by reading.

 - includes follow the layers of docs/design.md: libsx knows nobody above it, the daemon's parts only
   what is below them
 - every source file begins with its SPDX line; libsx is LGPL, the rest GPL
 - no file of C is longer than 800 lines, no line longer than 160 columns
 - no tabs in C, no trailing blanks, no TODO
 - every folder with C files has a README of at most 40 lines
 - every installed program has a manual page

Each check can be seen to fail: tree.py --self-test plants one breach of each kind in a copy."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.environ.get("SX_SRCDIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LINES_MAX, COLUMNS_MAX, README_LINES_MAX = 800, 160, 40

# What a folder's files may include besides their own folder; the longest prefix counts.  Arrows go down only.
LAYERS = {
    "libsx/base": [],
    "libsx/io": ["libsx/base"],
    "libsx/crypt": ["libsx/base"],
    "libsx/codec": ["libsx/base", "libsx/crypt"],
    "libsx/auth": ["libsx/base", "libsx/crypt"],
    "libsx/place": ["libsx/base"],
    "libsx/http": ["libsx/base", "libsx/crypt", "libsx/auth", "libsx/io"],
    "libsx/client": ["libsx"],
    "client": ["libsx"],
    "sxhttpd": ["libsx", "fcgi/conf.h"],
    "tools": ["libsx", "sxhttpd", "client/cli.h", "client/show.h", "client/bar.h", "fcgi/conf.h", "fcgi/keys.h", "fcgi/ca.h",
              "fcgi/meta/command.h", "fcgi/meta/query.h", "fcgi/store", "fcgi/jobs/scrub_state.h"],
    "fcgi/store": ["libsx", "fcgi/conf.h"],
    "fcgi/meta": ["libsx", "fcgi/conf.h", "fcgi/keys.h", "fcgi/title.h"],
    "fcgi/meta/raft": ["libsx"],
    "fcgi/meta/sm": ["libsx", "fcgi/meta"],
    "fcgi/cluster": ["libsx", "fcgi/conf.h", "fcgi/keys.h", "fcgi/ca.h", "fcgi/board.h", "fcgi/meta/meta.h",
                     "fcgi/meta/command.h", "fcgi/meta/query.h", "fcgi/store", "fcgi/jobs/queue.h"],
    "fcgi/jobs": ["libsx", "fcgi/conf.h", "fcgi/keys.h", "fcgi/board.h", "fcgi/title.h", "fcgi/meta/meta.h",
                  "fcgi/meta/command.h", "fcgi/meta/query.h", "fcgi/store", "fcgi/cluster", "fcgi/s3/lifecycle.h"],
    "fcgi/s3": ["libsx", "fcgi"],
    "fcgi/api": ["libsx", "fcgi"],
    "fcgi": ["libsx", "fcgi"],
}
SOURCES = (".c", ".h", ".def")
SPDX = (".c", ".h", ".def", ".py", ".sh", ".mk", ".ac", ".am", ".conf.in")


def files(root):
    """Files of the tree that are kept in git, or all of a tree without git."""
    try:
        names = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard"], check=True,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode().splitlines()
    except (OSError, subprocess.CalledProcessError):
        names = [os.path.relpath(os.path.join(d, f), root) for d, _, fs in os.walk(root) for f in fs]
    return sorted(n for n in names if os.path.isfile(os.path.join(root, n)))


def layer_of(name):
    folder = os.path.dirname(name)
    while folder and folder not in LAYERS:
        folder = os.path.dirname(folder)
    return folder


def check_includes(name, text, found):
    layer = layer_of(name)
    if not layer:
        return
    allowed = LAYERS[layer] + [layer]
    for line in re.finditer(r'^#include "([^"]+)"', text, re.M):
        inc = line.group(1)
        if "/" in inc and not any(inc == a or inc.startswith(a + "/") for a in allowed):
            found.append(f"{name}: includes {inc}, which is not below {layer}")


def check_source(name, text, found):
    lines = text.split("\n")
    if len(lines) - 1 > LINES_MAX:
        found.append(f"{name}: {len(lines) - 1} lines, more than {LINES_MAX}")
    for i, line in enumerate(lines, 1):
        if len(line) > COLUMNS_MAX:
            found.append(f"{name}:{i}: {len(line)} columns, more than {COLUMNS_MAX}")
        if "\t" in line:
            found.append(f"{name}:{i}: a tab")
        if line != line.rstrip():
            found.append(f"{name}:{i}: blanks at the end of the line")
        if re.search(r"\b(TODO|FIXME|XXX)\b", line):
            found.append(f"{name}:{i}: unfinished")


def check_spdx(name, text, found):
    want = "LGPL-2.1-or-later" if name.startswith("libsx/") and name.endswith(SOURCES) else None
    head = "\n".join(text.split("\n")[:3])
    m = re.search(r"SPDX-License-Identifier: (\S+)", head)
    if not m:
        found.append(f"{name}: no SPDX line at its beginning")
    elif want and m.group(1) != want:
        found.append(f"{name}: {m.group(1)}, but files of libsx are {want}")


def check_readme(root, names, found):
    for folder in sorted({os.path.dirname(n) for n in names if n.endswith(".c") and not n.startswith("tests/")}):
        path = os.path.join(root, folder, "README.md")
        if not os.path.exists(path):
            found.append(f"{folder}: no README.md")
        elif sum(1 for _ in open(path)) > README_LINES_MAX:
            found.append(f"{folder}/README.md: longer than {README_LINES_MAX} lines")


def check_manuals(root, names, found):
    programs = set()
    for n in names:
        if n.endswith("local.mk"):
            text = open(os.path.join(root, n)).read().replace("\\\n", " ")
            for m in re.finditer(r"^(?:bin|sbin|libexec_sx)_PROGRAMS\s*\+=\s*(.*)$", text, re.M):
                programs.update(m.group(1).split())
    pages = {os.path.basename(n).rsplit(".", 1)[0] for n in names if n.startswith("docs/man/") and n[-2:-1] == "."}
    found += [f"{p}: no manual page in docs/man" for p in sorted(programs - pages)]


def check(root):
    found, names = [], files(root)
    for n in names:
        if n.endswith(SPDX):
            with open(os.path.join(root, n), errors="replace") as f:
                text = f.read()
            check_spdx(n, text, found)
            if n.endswith(SOURCES):
                check_source(n, text, found)
                check_includes(n, text, found)
    check_readme(root, names, found)
    check_manuals(root, names, found)
    return found


def self_test():
    """Plants breaches and wants each to be found."""
    planted = {
        "libsx/base/a.c": ("/* no licence */\n", "no SPDX"),
        "libsx/base/b.c": ("/* SPDX-License-Identifier: GPL-2.0-or-later */\n", "files of libsx are"),
        "libsx/base/c.c": ('/* SPDX-License-Identifier: LGPL-2.1-or-later */\n#include "fcgi/conf.h"\n', "not below"),
        "fcgi/store/d.c": ("/* SPDX-License-Identifier: GPL-2.0-or-later */\n" * 801, "more than 800"),
        "fcgi/store/e.c": ("/* SPDX-License-Identifier: GPL-2.0-or-later */\n\tint a;\n", "a tab"),
        "fcgi/store/f.c": ("/* SPDX-License-Identifier: GPL-2.0-or-later */\nint a; \n", "blanks at the end"),
        "fcgi/store/g.c": ("/* SPDX-License-Identifier: GPL-2.0-or-later */\n/* TO" + "DO */\n", "unfinished"),
        "client/local.mk": ("# SPDX-License-Identifier: GPL-2.0-or-later\nbin_PROGRAMS += sxx\n", "no manual page"),
        "tools/h.c": ("/* SPDX-License-Identifier: GPL-2.0-or-later */\n", "no README.md"),
    }
    root = tempfile.mkdtemp()
    try:
        for name, (text, _) in planted.items():
            os.makedirs(os.path.join(root, os.path.dirname(name)), exist_ok=True)
            with open(os.path.join(root, name), "w") as f:
                f.write(text)
        found = check(root)
        missed = [n for n, (_, words) in planted.items() if not any(words in f for f in found)]
    finally:
        shutil.rmtree(root)
    return [f"self-test: the breach planted in {n} is not found" for n in missed]


def main():
    found = self_test() + check(ROOT)
    print("\n".join(found) if found else "ok: the tree keeps its style")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
