# SPDX-License-Identifier: GPL-2.0-or-later
"""The shared library shows the functions that sx.h declares, all of them and nothing else."""
import os
import re
import shutil
import subprocess
import sys

SOURCE = os.environ.get("SX_SRCDIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SX_BUILDDIR") or os.getcwd()


def declared():
    text = open(f"{SOURCE}/libsx/client/sx.h").read()
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    text = re.sub(r"typedef[^;]*;", "", text)
    return set(re.findall(r"\b(sx_[a-z_]+)\(", text))


def main():
    header = declared()
    listed = set(open(f"{SOURCE}/libsx/client/libsx.sym").read().split())
    found = [f"{n}: in sx.h, but not in libsx.sym" for n in sorted(header - listed)]
    found += [f"{n}: in libsx.sym, but not in sx.h" for n in sorted(listed - header)]
    library = f"{BUILD}/.libs/libsx.so"
    if os.path.exists(library) and shutil.which("nm"):
        out = subprocess.run(["nm", "-D", "--defined-only", library], check=True, stdout=subprocess.PIPE, text=True)
        shown = {line.split()[2].split("@")[0] for line in out.stdout.splitlines() if line.split()[1] in "TDBRVW"}
        found += [f"{n}: the library does not show it" for n in sorted(header - shown)]
        found += [f"{n}: the library shows it" for n in sorted(shown - header)
                  if not n.startswith(("__asan", "__ubsan", "_init", "_fini"))]
    print("\n".join(found) if found else f"ok: {len(header)} functions")
    sys.exit(1 if found else 0)


main()
