#!/usr/bin/env python3
"""Every header compiles alone and may be included twice.

    headers.py ROOT CACHE COMPILER FLAG...   headers below ROOT/src and ROOT/apps; what passed is remembered in CACHE
    headers.py --self-test COMPILER FLAG...  wants a header that leans on its includer to be found

A header is checked again when it, a header of ours it includes, the flags or the compiler change.
"""
import concurrent.futures
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)
JOBS = 2


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def closure(path, src, seen):
    """`path` and every header of ours it reaches."""
    if path in seen:
        return seen
    seen.add(path)
    for name in INCLUDE.findall(read(path)):
        for folder in (os.path.dirname(path), src):
            candidate = os.path.normpath(os.path.join(folder, name))
            if os.path.isfile(candidate):
                closure(candidate, src, seen)
                break
    return seen


def key(path, src, salt):
    digest = hashlib.sha256(salt)
    for part in sorted(closure(path, src, set())):
        digest.update(os.path.relpath(part, src).encode() + b"\0" + read(part).encode() + b"\0")
    return digest.hexdigest()


def compiles(path, root, command):
    # Twice, so that a missing #pragma once shows.
    text = f'#include "{path}"\n#include "{path}"\n'
    done = subprocess.run(command + ["-iquote", os.path.dirname(path), "-fsyntax-only", "-x", "c++", "-"], input=text,
                          capture_output=True, text=True, cwd=root, check=False)
    return done.returncode == 0, done.stderr


def check(root, cache, command):
    os.makedirs(cache, exist_ok=True)
    src = os.path.join(root, "src")
    version = subprocess.run([command[0], "--version"], capture_output=True, check=True).stdout
    salt = version + "\0".join(command[1:]).encode()
    headers = [os.path.join(folder, name) for top in (src, os.path.join(root, "apps"))
               for folder, _, files in os.walk(top) for name in files if name.endswith(".h")]
    todo = [(path, os.path.join(cache, key(path, src, salt))) for path in sorted(headers)]
    fresh = [(path, mark) for path, mark in todo if not os.path.exists(mark)]
    faults = []
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for (path, mark), (ok, message) in zip(fresh, pool.map(lambda job: compiles(job[0], root, command), fresh)):
            if ok:
                open(mark, "w", encoding="utf-8").close()
            else:
                faults.append(f"{os.path.relpath(path, root)}: does not compile alone:\n{message}")
    keep = {os.path.basename(mark) for _, mark in todo}
    for name in os.listdir(cache):
        if name not in keep:
            os.remove(os.path.join(cache, name))
    return faults, len(todo), len(fresh)


def self_test(command):
    with tempfile.TemporaryDirectory(prefix="sis_headers_") as root:
        def write(name, text):
            path = os.path.join(root, "src", "base", name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)

        here = command + ["-I", os.path.join(root, "src")]
        cache = os.path.join(root, "cache")
        write("good.h", "#pragma once\n#include <string>\ninline std::string good() { return {}; }\n")
        write("uses.h", '#pragma once\n#include "base/good.h"\ninline auto used() { return good(); }\n')
        faults, total, fresh = check(root, cache, here)
        assert (faults, total, fresh) == ([], 2, 2), (faults, total, fresh)
        assert check(root, cache, here)[2] == 0, "an unchanged header was compiled again"
        write("leans.h", "#pragma once\ninline std::string leans() { return {}; }\n")
        write("twice.h", "inline int twice() { return 2; }\n")
        faults = check(root, cache, here)[0]
        assert len(faults) == 2 and "leans.h" in faults[0] and "twice.h" in faults[1], faults
        # Breaking a header breaks its includers, although their own text did not change.
        os.remove(os.path.join(root, "src/base/leans.h"))
        os.remove(os.path.join(root, "src/base/twice.h"))
        write("good.h", "#pragma once\n")
        faults = check(root, cache, here)[0]
        assert len(faults) == 1 and "uses.h" in faults[0], faults
    print("headers: planted violations found")


def main():
    if sys.argv[1] == "--self-test":
        return self_test(sys.argv[2:])
    begin = time.monotonic()
    faults, total, fresh = check(sys.argv[1], sys.argv[2], sys.argv[3:])
    print("\n".join(faults))
    print(f"headers: {total} headers, {fresh} compiled, {len(faults)} faults, {time.monotonic() - begin:.0f} s")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
