# SPDX-License-Identifier: GPL-2.0-or-later
"""Every program answers --help and --version, and refuses an unknown option with one line that says what to do."""
import os
import re
import subprocess
import sys

ROOT = os.environ.get("SX_SRCDIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SX_BUILDDIR") or os.getcwd()


def programs():
    found = set()
    for folder, _, names in os.walk(ROOT):
        if "local.mk" in names:
            text = open(os.path.join(folder, "local.mk")).read().replace("\\\n", " ")
            for m in re.finditer(r"^(?:bin|sbin|libexec_sx)_PROGRAMS\s*\+=\s*(.*)$", text, re.M):
                found.update(m.group(1).split())
    return sorted(found)


def run(program, *words):
    return subprocess.run([os.path.join(BUILD, program), *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=20, check=False)


def problems(p):
    found = []
    r = run(p, "--help")
    if r.returncode != 0 or b"usage:" not in r.stdout.lower() or r.stderr:
        found.append(f"{p} --help: status {r.returncode}, standard output {r.stdout[:80]!r}, error {r.stderr[:80]!r}")
    if any(len(line) > 120 for line in r.stdout.decode().split("\n")):
        found.append(f"{p} --help: a line is longer than 120 columns")
    r = run(p, "--version")
    if r.returncode != 0 or not re.search(rb"\d+\.\d+\.\d+", r.stdout):
        found.append(f"{p} --version: status {r.returncode}, {r.stdout[:80]!r}")
    r = run(p, "--no-such-option")
    if r.returncode == 0 or not r.stderr or r.stdout:
        found.append(f"{p} --no-such-option: status {r.returncode}, {r.stderr[:80]!r}")
    return found


def main():
    all_ = programs()
    found = [f for p in all_ for f in problems(p)]
    print("\n".join(found) if found else f"ok: {len(all_)} programs")
    sys.exit(1 if found or not all_ else 0)


if __name__ == "__main__":
    main()
