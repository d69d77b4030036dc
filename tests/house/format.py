#!/usr/bin/env python3
"""Sources are formatted as .clang-format says.

    format.py ROOT CLANG_FORMAT        names every file that is not; `clang-format -i FILE` mends it
    format.py --self-test CLANG_FORMAT
"""
import os
import subprocess
import sys
import tempfile

SOURCE = (".h", ".cc", ".cu", ".cuh")
FOLDERS = ("src", "apps", "benchmarks", "tests")


def check(root, tool):
    files = sorted(os.path.join(folder, name) for top in FOLDERS for folder, _, names in os.walk(os.path.join(root, top))
                   for name in names if name.endswith(SOURCE))
    faults = []
    for path in files:
        done = subprocess.run([tool, "--dry-run", "-Werror", "--style=file", path], capture_output=True, text=True,
                              cwd=root, check=False)
        if done.returncode != 0:
            line = done.stderr.split(": error", 1)[0].split(":")
            faults.append(f"{os.path.relpath(path, root)}:{line[1] if len(line) > 1 else '?'}: run clang-format -i")
    return faults, len(files)


def self_test(tool):
    with tempfile.TemporaryDirectory(prefix="sis_format_") as root:
        os.makedirs(os.path.join(root, "src"))
        with open(os.path.join(root, ".clang-format"), "w", encoding="utf-8") as file:
            file.write("BasedOnStyle: Google\n")
        for name, text in (("good.cc", "int main() { return 0; }\n"), ("bad.cc", "int x;\nint   main( ) {return 0;}\n")):
            with open(os.path.join(root, "src", name), "w", encoding="utf-8") as file:
                file.write(text)
        faults, count = check(root, tool)
        assert count == 2 and faults == ["src/bad.cc:2: run clang-format -i"], faults
    print("format: planted violation found")


def main():
    if sys.argv[1] == "--self-test":
        return self_test(sys.argv[2])
    faults, count = check(sys.argv[1], sys.argv[2])
    print("\n".join(faults))
    print(f"format: {count} files, {len(faults)} to format")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
