#!/usr/bin/env python3
"""Includes point down the table of the house (folders.txt).

    includes.py ROOT [TABLE]   checks src/ and apps/ below ROOT; prints file:line of every include that points up
    includes.py --self-test    plants violations in a scratch tree and wants each to be found
"""
import os
import re
import sys
import tempfile

INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')
SOURCE = (".h", ".cc", ".cu", ".cuh", ".c", ".inc")
HERE = os.path.dirname(os.path.abspath(__file__))


class Table:
    def __init__(self, path):
        self.allowed = {}  # folder -> what it may use; in file order, bottom first
        self.fences = {}
        self.generated = set()
        self.faults = []
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                line = line.split("#")[0].strip()
                if not line:
                    continue
                head, _, tail = line.partition(":")
                names = tail.split()
                if head == "generated":
                    self.generated.update(names)
                elif head.startswith("fence "):
                    self.fences.setdefault(head.split()[1], []).extend(names)
                else:
                    for name in names:
                        if not any(below(known, name) for known in self.allowed):
                            self.faults.append(f"{path}:{number}: {head} may use {name}, which does not stand above it")
                    self.allowed[head] = names

    def folder_of(self, directory):
        """The longest line that contains `directory`; None for one that has no place in the house."""
        best = [f for f in self.allowed if below(directory, f)]
        return max(best, key=len) if best else None

    def may(self, folder, target, is_test):
        if any(below(target, fenced) for fence, names in self.fences.items() if below(folder, fence) for fenced in names):
            return False
        if target == folder or target == "base":
            return True
        if is_test:
            order = list(self.allowed)
            return order.index(target) < order.index(folder)
        return any(below(target, name) for name in self.allowed[folder])


def below(path, folder):
    return path == folder or path.startswith(folder + "/")


def sources(root):
    for directory, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(files):
            if name.endswith(SOURCE):
                yield os.path.join(directory, name)


def check(root, table):
    faults = list(table.faults)
    src = os.path.join(root, "src")
    for path in list(sources(src)) + list(sources(os.path.join(root, "apps"))):
        shown = os.path.relpath(path, root)
        in_src = below(shown, "src")
        directory = os.path.dirname(os.path.relpath(path, src)) if in_src else None
        folder = table.folder_of(directory) if in_src else None
        if in_src and folder is None:
            faults.append(f"{shown}:1: the folder src/{directory} is not in the table")
            continue
        is_test = re.search(r"_(test|fuzz|bench)\.", os.path.basename(path)) is not None
        with open(path, encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                match = INCLUDE.match(line)
                if not match:
                    continue
                bracket, name = match.groups()
                place = f"{shown}:{number}"
                if ".." in name.split("/"):
                    faults.append(f'{place}: "{name}": want the path from src/')
                    continue
                if os.path.isfile(os.path.join(src, name)):
                    target = table.folder_of(os.path.dirname(name))
                    if bracket == "<":
                        faults.append(f'{place}: <{name}> is ours, want "{name}"')
                    elif not in_src:
                        continue
                    elif target is None:
                        faults.append(f'{place}: "{name}" lies in a folder that is not in the table')
                    elif not table.may(folder, target, is_test):
                        faults.append(f'{place}: src/{folder} must not include "{name}" (allowed: base '
                                      f'{" ".join(table.allowed[folder])})'.replace(" )", ")"))
                elif bracket == '"' and name not in table.generated:
                    if in_src:
                        faults.append(f'{place}: "{name}" is not below src/ (libraries: <{name}>)')
                    elif not os.path.isfile(os.path.join(os.path.dirname(path), name)):
                        faults.append(f'{place}: "{name}" is neither beside the file nor below src/')
    return faults


def self_test():
    table = Table(os.path.join(HERE, "folders.txt"))
    assert table.faults == [], table.faults
    good = {
        "src/base/a.h": "#pragma once\n#include <vector>\n",
        "src/net/http.h": '#include "base/a.h"\n',
        "src/infer/tensor/t.h": '#include "base/a.h"\n',
        "src/infer/kernels/cpu/k.h": '#include "infer/tensor/t.h"\n',
        "src/infer/models/bert/m.h": '#include "infer/tensor/t.h"\n',
        "src/infer/engine/e.h": '#include "infer/tensor/t.h"\n',
        "src/serve/server/s.cc": '#include "infer/models/bert/m.h"\n#include "version.h"\n',
        "src/infer/models/bert/m_test.cc": '#include "infer/kernels/cpu/k.h"\n',
        "apps/sis/main.cc": '#include "own.h"\n#include "serve/server/s.h"\n',
        "apps/sis/own.h": "\n",
        "src/serve/server/s.h": "\n",
    }
    planted = [
        ("src/base/b.cc", '#include "net/http.h"', "src/base must not include"),
        ("src/infer/kernels/cpu/up.cc", "\n" '#include "serve/server/s.h"', "src/infer/kernels must not include"),
        ("src/perf/load/p.cc", '# include "infer/tensor/t.h"', "src/perf must not include"),
        ("src/perf/load/p_test.cc", '#include "infer/tensor/t.h"', "src/perf must not include"),
        ("src/infer/engine/e.cc", '#include "infer/models/bert/m.h"', "src/infer/engine must not include"),
        ("src/serve/tasks/t_test.cc", '#include "infer/models/bert/m.h"', "src/serve/tasks must not include"),
        ("src/infer/tensor/t_test.cc", '#include "infer/kernels/cpu/k.h"', "src/infer/tensor must not include"),
        ("src/net/x.cc", '#include "../base/a.h"', "want the path from src/"),
        ("src/net/y.cc", "#include <base/a.h>", 'want "base/a.h"'),
        ("src/net/z.cc", '#include "nowhere.h"', "is not below src/"),
        ("src/attic/a.cc", "", "is not in the table"),
        ("apps/sis/bad.cc", '#include "nowhere.h"', "is neither beside"),
    ]

    def tree(files):
        root = tempfile.mkdtemp(prefix="sis_includes_")
        for name, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
            with open(os.path.join(root, name), "w", encoding="utf-8") as file:
                file.write(text)
        return root

    assert check(tree(good), table) == [], check(tree(good), table)
    for name, text, wanted in planted:
        faults = check(tree({**good, name: text}), table)
        line = text.count("\n") + 1
        assert len(faults) == 1 and faults[0].startswith(f"{name}:{line}: ") and wanted in faults[0], (name, faults)

    upside_down = tree({"table": "infer/ops: infer/nn\ninfer/nn:\n"})
    assert len(Table(os.path.join(upside_down, "table")).faults) == 1
    print(f"includes: {len(planted)} planted violations found")


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    faults = check(sys.argv[1], Table(sys.argv[2] if len(sys.argv) > 2 else os.path.join(HERE, "folders.txt")))
    print("\n".join(faults) if faults else "includes: all point down")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
