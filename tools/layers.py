#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The layer rule over #include lines (docs/ARCHITECTURE.md): who may include whom, and which library headers stay where."""
import glob
import re
import sys

LAYERS = ["core", "wire", "store", "gateway", "amt", "provision", "mgmtapi"]
# What a folder may include besides itself. A set of headers limits it to these.
MAY = {
    "core": {},
    "wire": {"core": {"base.h", "err.h", "buf.h", "text.h", "crypto.h", "map.h"}},
    "store": {"core": None},
    "gateway": {"core": None, "wire": None, "store": None},
    "amt": {"core": None, "wire": None, "gateway": {"gateway.h"}},
    "provision": {"core": None, "wire": None, "store": None, "gateway": {"gateway.h"}, "amt": None},
    "mgmtapi": {"core": None, "wire": None, "store": {"store.h", "records.h"}, "gateway": {"gateway.h", "settings.h"},
                "amt": {"amt.h"}, "provision": None},
}
# Library headers and the files that may know them.
LIBRARY = {
    r"liburing\.h": r"core/(io_uring|uring_\w+)\.[ch]",
    r"wolfssl/.*": r"core/(tls|crypto|x509|pem)\w*\.[ch]",
    r"openssl/.*": r"core/tls_libcrypto\.c",
    r"lmdb\.h": r"store/.*",
    r"msgpack.*": r"store/.*",
    r"nghttp2/.*": r"mgmtapi/(cli/)?h2\w*\.[ch]",
    r".*\.pb-c\.h": r"mgmtapi/.*",
    r"expat\.h": r"wire/xml\w*\.[ch]",
    r"yaml\.h": r"core/conf\w*\.[ch]",
    r"jansson\.h": r"mgmtapi/.*",
    r"ucontext\.h": r"core/fiber\w*\.[ch]",
}
ROOTS = {"gateway/causewayd.c"}  # the composition root may include everything
INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]')


def check(path):
    folder = path.split("/")[0]
    problems = []
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        found = INCLUDE.match(line)
        if not found:
            continue
        header = found.group(1)
        for pattern, allowed in LIBRARY.items():
            if re.fullmatch(pattern, header) and not re.fullmatch(allowed, path):
                problems.append(f"{path}:{number}: <{header}> belongs in {allowed}")
        target = header.split("/")[0]
        if path in ROOTS or target not in LAYERS or target == folder:
            continue
        allowed = MAY[folder].get(target, set())
        if allowed is not None and header.split("/", 1)[1] not in allowed:
            problems.append(f"{path}:{number}: {folder}/ may not include {header}")
    return problems


def main():
    files = [f for layer in LAYERS for f in glob.glob(f"{layer}/**/*.[ch]", recursive=True)]
    problems = [p for f in sorted(files) for p in check(f)]
    print("\n".join(problems) if problems else f"layers: {len(files)} files keep the rule")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
