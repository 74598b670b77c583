#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""No file over 800 lines, no function over 70 (a comment line "long function: reason" above it makes an exception)."""
import glob
import sys

FILE_MAX, FUNCTION_MAX = 800, 70


def functions(lines):
    """Functions by the house style: an opening brace alone in the first column, and its closing one."""
    start = None
    for number, line in enumerate(lines, 1):
        if line.rstrip() == "{":
            start = number
        elif line.startswith("}") and start is not None:
            yield start, number
            start = None


def check(path):
    lines = open(path, encoding="utf-8").read().split("\n")
    if len(lines) > FILE_MAX + 1:
        yield f"{path}: {len(lines) - 1} lines (at most {FILE_MAX})"
    for start, end in functions(lines):
        if end - start - 1 > FUNCTION_MAX and "long function:" not in "\n".join(lines[max(0, start - 6):start]):
            yield f"{path}:{start}: function of {end - start - 1} lines (at most {FUNCTION_MAX})"


def main():
    patterns = ["[a-z]*/**/*.[ch]", "[a-z]*/*.[ch]", "tools/*", "tests/**/*.py", "tests/**/*.sh"]
    files = sorted({f for p in patterns for f in glob.glob(p, recursive=True) if not f.startswith("build/") and "." in f})
    problems = [p for f in files for p in check(f)]
    print("\n".join(problems) if problems else f"sizes: {len(files)} files are small enough")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
