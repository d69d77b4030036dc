#!/usr/bin/env python3
"""A setting without a "not used yet" mark is read somewhere: its name stands as a string in src/ or apps/ outside
the table, or it stands in for one that does; a marked one is read nowhere. So the mark tells the truth.

    settings_use.py ROOT
    settings_use.py --self-test
"""
import os
import re
import sys
import tempfile

TABLE = "src/serve/server/settings_rows.cc"
ROW = re.compile(r'\{\.name = "([A-Z0-9_]+)"(.*?)\},\s*(?=\{\.name|\};|\n\s*\};)', re.S)
# Reports of all settings are no use.
REPORTS = ("runtime_config.cc",)


def check(root):
    with open(os.path.join(root, TABLE), encoding="utf-8") as file:
        rows = ROW.findall(file.read())
    names = set()
    for top in ("src", "apps"):
        for folder, _, files in os.walk(os.path.join(root, top)):
            for name in files:
                path = os.path.join(folder, name)
                if not name.endswith((".cc", ".h")) or "_test." in name or name in REPORTS:
                    continue
                if os.path.basename(path).startswith("settings"):
                    continue
                with open(path, encoding="utf-8", errors="replace") as file:
                    names.update(re.findall(r'"([A-Z][A-Z0-9_]+)"', file.read()))
    used = {name for name, _ in rows if name in names}
    for name, body in rows:  # what a used setting falls back on is used too
        if name in used:
            used.update(re.findall(r'\{"([A-Z0-9_]+)"', body.split(".fallbacks")[1].split("}}")[0])
                        if ".fallbacks" in body else [])
    faults = [f"{TABLE}: {name} is not marked kNotYet, but nothing reads it" for name, body in rows
              if name not in used and ".use = " not in body]
    faults += [f"{TABLE}: {name} is marked kNotYet, but something reads it" for name, body in rows
               if name in names and "kNotYet" in body]
    return faults, len(rows)


def self_test():
    with tempfile.TemporaryDirectory(prefix="sis_settings_use_") as root:
        os.makedirs(os.path.join(root, "src/serve/server"))
        os.makedirs(os.path.join(root, "apps"))
        with open(os.path.join(root, TABLE), "w", encoding="utf-8") as file:
            file.write('  return {\n      {.name = "AA", .fallbacks = {{"CC"}},\n       .help = "x"},\n'
                       '      {.name = "BB", .help = "x", .use = kNotYet},\n      {.name = "CC", .help = "x"},\n'
                       '      {.name = "DEAD", .help = "x"},\n  };\n')
        with open(os.path.join(root, "src/serve/server/app.cc"), "w", encoding="utf-8") as file:
            file.write('int x = settings.integer("AA");\n')
        faults, rows = check(root)
        assert rows == 4 and len(faults) == 1 and "DEAD" in faults[0], (rows, faults)
        with open(os.path.join(root, "apps/late.cc"), "w", encoding="utf-8") as file:
            file.write('int y = settings.flag("BB");\n')
        faults, rows = check(root)
        assert len(faults) == 2 and "BB is marked" in faults[1], faults
    print("settings_use: planted violation found")


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    faults, rows = check(sys.argv[1])
    print("\n".join(faults))
    print(f"settings_use: {rows} settings, {len(faults)} faults")
    sys.exit(1 if faults or rows < 100 else 0)


if __name__ == "__main__":
    main()
