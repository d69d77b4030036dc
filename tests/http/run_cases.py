#!/usr/bin/env python3
"""Runs the .http cases of a folder against a server started for each file. Standard library only.

usage: run_cases.py SIS_BINARY FOLDER
"""
import http.client
import json
import os
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "system"))
from sis_server import Server  # noqa: E402


def parse_file(path):
    """Returns (settings, [case]); a case is a dict of title, method, target, headers, body, status, checks."""
    settings, cases = {}, []
    for block in re.split(r"(?m)^### ", path.read_text())[0:]:
        if not cases and not block.strip().startswith("@settings") and "==>" not in block:
            continue
        if block.lstrip().startswith("@settings"):
            for pair in block.strip().splitlines()[0].split()[1:]:
                name, _, value = pair.partition("=")
                settings[name] = value.replace("{{here}}", str(path.resolve().parent))
            continue
        title, _, rest = block.partition("\n")
        request, separator, expected = rest.partition("\n==> ")
        if not separator:
            raise ValueError(f"{path}: case '{title}' has no '==> STATUS' line")
        repeats = {}
        lines = request.split("\n")
        while lines and lines[0].startswith("@repeat "):
            _, name, text, count = lines.pop(0).split(" ")
            repeats[name] = text * int(count)
        head, _, body = "\n".join(lines).partition("\n\n")
        head_lines = head.strip().split("\n")
        method, target = head_lines[0].split(" ", 1)
        headers = dict(line.split(": ", 1) for line in head_lines[1:])
        body = body.strip("\n")
        for name, text in repeats.items():
            body = body.replace("{{" + name + "}}", text)
        expected_lines = [line for line in expected.split("\n") if line.strip()]
        cases.append({"title": title.strip(), "method": method, "target": target, "headers": headers, "body": body,
                      "status": int(expected_lines[0]), "checks": expected_lines[1:]})
    return settings, cases


def walk(value, path):
    for part in path.split("."):
        if isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            return None, False
    return value, True


def check_one(check, headers, text):
    """None when the check holds, else what was found."""
    kind, _, rest = check.partition(" ")
    if kind == "header":
        name, _, wanted = rest.partition(" = ")
        found = headers.get(name)
        if wanted.startswith("~"):
            return None if found is not None and re.fullmatch(wanted[1:], found) else f"{name}: {found}"
        return None if found == wanted else f"{name}: {found}"
    if kind == "no-header":
        return None if headers.get(rest) is None else f"{rest}: {headers.get(rest)}"
    if kind == "body":
        operation, _, wanted = rest.partition(" ")
        if operation == "contains":
            return None if wanted in text else text[:300]
        if operation == "empty":
            return None if text == "" else text[:300]
    if kind == "json":
        path, operation, wanted = re.fullmatch(r"(\S+) (=|length|exists|absent|contains) ?(.*)", rest).groups()
        value, found = walk(json.loads(text), path)
        if operation == "absent":
            return None if not found else json.dumps(value)[:300]
        if not found:
            return f"nothing at {path}: {text[:300]}"
        if operation == "exists":
            return None
        if operation == "length":
            return None if len(value) == int(wanted) else f"length {len(value)}"
        if operation == "contains":
            return None if isinstance(value, str) and wanted in value else json.dumps(value)[:300]
        return None if value == json.loads(wanted) else json.dumps(value)[:300]
    raise ValueError(f"unknown check: {check}")


def run_case(port, case):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        body = case["body"].encode() if case["body"] else None
        connection.request(case["method"], case["target"], body, case["headers"])
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
        faults = []
        if response.status != case["status"]:
            faults.append(f"want status {case['status']}, got {response.status}: {text[:300]}")
        for check in case["checks"]:
            found = check_one(check, response.headers, text)
            if found is not None:
                faults.append(f"{check}\n      found {found}")
        return faults
    finally:
        connection.close()


def main():
    binary, folder = sys.argv[1], Path(sys.argv[2])
    passed = failed = 0
    for path in sorted(folder.rglob("*.http")):
        settings, cases = parse_file(path)
        if not cases:
            raise ValueError(f"{path} holds no cases")
        with Server(binary, settings) as server:
            for case in cases:
                faults = run_case(server.port, case)
                if faults:
                    failed += 1
                    print(f"FAILED {path.relative_to(folder)}: {case['title']}")
                    for fault in faults:
                        print(f"    {fault}")
                else:
                    passed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
