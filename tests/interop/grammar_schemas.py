#!/usr/bin/env python3
"""Has the `jsonschema` package judge what our grammars allow, and our grammars what it judges.

    grammar_schemas.py --program sample_lines [--count 400] [--samples 6] [--seed 1] [--install FOLDER] [--tokenizer FILE]

For COUNT generated schemas (nested objects and arrays, enums, patterns, ranges, anyOf, oneOf, allOf, $ref, formats)
and some written by hand:
  - SAMPLES random walks along the token masks; every text must be JSON and valid;
  - values made to be valid, written in declared order, must be taken, in all our white space;
  - the same values with faults, where jsonschema finds them invalid, must be refused.
Numbers are compared as decimals. With --install the packages are first put into a virtual environment in FOLDER,
which then runs this. Ends with status 1 on any difference.
"""

import argparse
import copy
import json
import os
import random
import subprocess
import sys
import time
from decimal import Decimal

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PACKAGES = ["jsonschema==4.23.0", "rfc3339-validator==0.1.4", "rfc3986-validator==0.1.1", "fqdn==1.5.1", "isoduration==20.11.0"]
SHOWN = 10  # differences printed
WORDS = ["id", "name", "kind", "value", "items", "größe", "a b", "x", "x1", "note", "ключ", "\"q\"", "back\\slash", "list", "ok"]
PATTERNS = [
    (r"^[A-Z]{2,4}-\d{3}$", ["AB-123", "WXYZ-000"]),
    (r"^[a-z][a-z0-9_]{0,15}$", ["a", "snake_case_1"]),
    (r"^(\+\d{1,3} )?\d{3}-\d{4}$", ["555-1234", "+49 555-1234"]),
    (r"[aeiou]{2}", ["book", "aa", "queue"]),
    (r"^#([0-9a-f]{3}|[0-9a-f]{6})$", ["#fff", "#01ab9c"]),
    (r"^v\d+(\.\d+){2}(-[a-z]+)?$", ["v1.2.3", "v10.0.1-beta"]),
    (r"^[^<>&]*$", ["", "plain text", "üñí"]),
    ("^[\\w.]+@[a-z]+\\.(com|org)$", ["a.b@example.com"]),
    ("^\"[^\"\\\\]*\"$", ["\"quoted\""]),
]
FORMATS = {
    "date": ["2024-02-29", "1999-12-31"],
    "time": ["12:30:00Z", "23:59:59.5+02:00"],
    "date-time": ["2024-02-29T12:30:00Z", "1999-12-31T23:59:59.25-08:00"],
    "uuid": ["123e4567-e89b-12d3-a456-426614174000"],
    "email": ["someone@example.com", "a.b+c@sub.example.org"],
    "ipv4": ["127.0.0.1", "255.255.255.255"],
    "ipv6": ["::1", "2001:db8::1", "fe80::1:2:3:4"],
    "uri": ["https://example.com/a/b?c=d#e", "urn:isbn:0451450523"],
    "duration": ["P3Y6M4DT12H30M5S", "PT5M"],
    "hostname": ["example.com", "a"],
}
BY_HAND = [
    # A linked list, a tree and two that hold each other.
    ({"$defs": {"list": {"type": "object", "properties": {"v": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/list"}, {"type": "null"}]}},
                         "required": ["v", "next"], "additionalProperties": False}}, "$ref": "#/$defs/list"},
     [{"v": 1, "next": None}, {"v": 1, "next": {"v": -2, "next": None}}]),
    ({"type": "object", "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#"}, "maxItems": 2}},
      "required": ["name"], "additionalProperties": False}, [{"name": "a"}, {"name": "a", "children": [{"name": "b", "children": []}]}]),
    ({"definitions": {"a": {"type": "array", "items": {"$ref": "#/definitions/b"}}, "b": {"type": "object", "additionalProperties": {"$ref": "#/definitions/a"}}},
      "$ref": "#/definitions/a"}, [[], [{"x": []}], [{}, {"y": [{}]}]]),
    # Tags that tell branches apart.
    ({"oneOf": [{"type": "object", "properties": {"t": {"const": "a"}, "n": {"type": "integer", "minimum": 1}}, "required": ["t", "n"], "additionalProperties": False},
                {"type": "object", "properties": {"t": {"const": "b"}, "s": {"type": "string", "minLength": 1}}, "required": ["t", "s"],
                 "additionalProperties": False}]}, [{"t": "a", "n": 1}, {"t": "b", "s": "x"}]),
    ({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "additionalProperties": False,
      "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, [{"a": 1}, {"b": 1}, {"a": 1, "b": 2}]),
    ({"allOf": [{"type": "object", "properties": {"a": {"type": "integer", "minimum": 0}}, "required": ["a"]},
                {"properties": {"a": {"maximum": 9}, "b": {"enum": ["x", 1]}}}]}, [{"a": 0}, {"a": 9, "b": 1}]),
    ({"type": "object", "propertyNames": {"pattern": "^[a-z]{1,4}$"}, "additionalProperties": {"type": "boolean"}, "maxProperties": 3}, [{}, {"ab": True}]),
    ({"type": "object", "properties": {"k": {"type": "integer"}}, "required": ["k"], "additionalProperties": {"type": "string"}},
     [{"k": 1}, {"k": 1, "kk": "a", "": "b"}]),
    ({"type": "object", "patternProperties": {"^n_": {"type": "number"}}, "additionalProperties": False}, [{}, {"n_a": 1, "n_b": Decimal("2.5")}]),
]


class Maker:
    """Schemas, each with a function that makes a valid value."""

    def __init__(self, rng):
        self.rng = rng

    def any(self, depth):
        kinds = [self.integer, self.number, self.string, self.pattern, self.format, self.enum, self.constant, self.simple]
        if depth > 0:
            kinds += [self.object] * 4 + [self.array] * 3 + [self.tuple, self.any_of, self.one_of, self.all_of, self.map]
        return self.rng.choice(kinds)(depth)

    def simple(self, depth):
        kind = self.rng.choice(["null", "boolean", "both"])
        if kind == "both":
            return {"type": ["boolean", "null"]}, lambda: self.rng.choice([None, True, False])
        return {"type": kind}, lambda: None if kind == "null" else self.rng.random() < 0.5

    def integer(self, depth):
        low, schema = self.rng.choice([-1000, -17, 0, 1, 99, 5000]), {"type": "integer"}
        high = low + self.rng.choice([0, 1, 9, 345, 100000])
        step = self.rng.choice([1, 1, 1, 2, 5, 12])
        if step > 1:
            schema["multipleOf"] = step
            low, high = low * step, high * step
        if self.rng.random() < 0.7:
            schema["minimum"] = low
        if self.rng.random() < 0.7:
            if self.rng.random() < 0.3:
                schema["exclusiveMaximum"] = high + 1
            else:
                schema["maximum"] = high
        return schema, lambda: self.rng.randrange(low // step, high // step + 1) * step

    def number(self, depth):
        scale = self.rng.choice([1, 10, 100])
        low = self.rng.randrange(-500, 500)
        high = low + self.rng.choice([1, 7, 250])
        schema = {"type": "number", "minimum": Decimal(low) / scale}
        if self.rng.random() < 0.8:
            schema[self.rng.choice(["maximum", "exclusiveMaximum"])] = Decimal(high) / scale
        if self.rng.random() < 0.3:
            schema["multipleOf"] = Decimal(1) / scale
        return schema, lambda: Decimal(self.rng.randrange(low, high)) / scale

    def string(self, depth):
        low = self.rng.choice([0, 0, 1, 3])
        high = low + self.rng.choice([0, 2, 10, 40])
        schema = {"type": "string"}
        if low:
            schema["minLength"] = low
        if self.rng.random() < 0.7:
            schema["maxLength"] = high
        alphabet = "abc xyzÄß你好\U0001f600\"\\\n\t/"
        return schema, lambda: "".join(self.rng.choice(alphabet) for _ in range(self.rng.randint(low, high)))

    def pattern(self, depth):
        pattern, values = self.rng.choice(PATTERNS)
        schema = {"type": "string", "pattern": pattern}
        if self.rng.random() < 0.3:
            schema["maxLength"] = 20
        return schema, lambda: self.rng.choice(values)

    def format(self, depth):
        name = self.rng.choice(sorted(FORMATS))
        return {"type": "string", "format": name}, lambda: self.rng.choice(FORMATS[name])

    def enum(self, depth):
        values = self.rng.sample(["red", "green", "re", "größer", "a\"b", 1, 2, 12, Decimal("1.5"), None, True, [1, "x"], {"k": [2]}, ""], self.rng.randint(1, 6))
        return {"enum": values}, lambda: copy.deepcopy(self.rng.choice(values))

    def constant(self, depth):
        value = self.rng.choice(["fixed", 42, None, {"a": {"b": [1, 2]}}, "line\nbreak"])
        return {"const": value}, lambda: copy.deepcopy(value)

    def object(self, depth):
        names = self.rng.sample(WORDS, self.rng.randint(1, 6))
        parts = {name: self.any(depth - 1) for name in names}
        required = [name for name in names if self.rng.random() < 0.6]
        schema = {"type": "object", "properties": {name: part[0] for name, part in parts.items()}, "additionalProperties": False}
        if required:
            schema["required"] = required
        return schema, lambda: {name: parts[name][1]() for name in names if name in required or self.rng.random() < 0.5}

    def map(self, depth):
        inner, make = self.any(depth - 1)
        return ({"type": "object", "additionalProperties": inner},
                lambda: {name: make() for name in self.rng.sample(WORDS, self.rng.randint(0, 3))})

    def array(self, depth):
        inner, make = self.any(depth - 1)
        low = self.rng.choice([0, 0, 1, 2])
        high = low + self.rng.choice([0, 1, 3])
        schema = {"type": "array", "items": inner}
        if low:
            schema["minItems"] = low
        if self.rng.random() < 0.7:
            schema["maxItems"] = high
        return schema, lambda: [make() for _ in range(self.rng.randint(low, high))]

    def tuple(self, depth):
        parts = [self.any(depth - 1) for _ in range(self.rng.randint(1, 3))]
        count = len(parts)
        schema = {"type": "array", "prefixItems": [part[0] for part in parts], "items": False, "minItems": count}
        return schema, lambda: [part[1]() for part in parts]

    def any_of(self, depth):
        parts = [self.any(depth - 1) for _ in range(self.rng.randint(2, 3))]
        return {"anyOf": [part[0] for part in parts]}, lambda: self.rng.choice(parts)[1]()

    def one_of(self, depth):
        parts = [self.object(depth - 1) for _ in range(2)]
        for index, (schema, _) in enumerate(parts):
            schema["properties"]["tag"] = {"const": "tag %d" % index}
            schema.setdefault("required", []).append("tag")

        def make():
            index = self.rng.randrange(2)
            return {**parts[index][1](), "tag": "tag %d" % index}
        return {"oneOf": [part[0] for part in parts]}, make

    def all_of(self, depth):
        schema, make = self.object(depth - 1)
        limits = {"type": "object", "properties": {name: {} for name in list(schema["properties"])[:1]}}
        return {"allOf": [schema, limits]}, make

    def whole(self):
        schema, make = self.any(self.rng.choice([1, 2, 2, 3]))
        if self.rng.random() < 0.4:  # the same by reference
            name = self.rng.choice(["part", "a/b", "x y"])
            reference = "#/$defs/" + name.replace("~", "~0").replace("/", "~1").replace(" ", "%20")
            schema = {"$defs": {name: schema}, "type": "array", "items": {"$ref": reference}, "maxItems": 3}
            inner = make
            make = lambda: [inner() for _ in range(self.rng.randint(0, 3))]  # noqa: E731
        return schema, make


def spoiled(rng, value):
    """The value with one fault somewhere, maybe one that the schema does not mind."""
    value = copy.deepcopy(value)
    if isinstance(value, dict) and value and rng.random() < 0.7:
        name = rng.choice(sorted(value))
        what = rng.randrange(3)
        if what == 0:
            del value[name]
        elif what == 1:
            value["surplus"] = 1
        else:
            value[name] = spoiled(rng, value[name])
        return value
    if isinstance(value, list) and value and rng.random() < 0.8:
        index = rng.randrange(len(value))
        what = rng.randrange(3)
        if what == 0:
            del value[index]
        elif what == 1:
            value += [copy.deepcopy(value[index])] * 3
        else:
            value[index] = spoiled(rng, value[index])
        return value
    if isinstance(value, str):
        return rng.choice([value + "!", value[:-1], value + "x" * 50, "", value.upper(), 7])
    if isinstance(value, bool) or value is None:
        return rng.choice(["null", 0, "true"])
    if isinstance(value, (int, Decimal)):
        return rng.choice([value + 1, value - 1, value * 1000 + 7, -value, value + Decimal("0.001"), str(value), None])
    return rng.choice([None, 3, "x"])


def dump(value, pairs=", ", colon=": "):
    """JSON text with exact decimals, as our grammars write it."""
    if isinstance(value, dict):
        return "{" + pairs.join(dump(k) + colon + dump(v, pairs, colon) for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + pairs.join(dump(v, pairs, colon) for v in value) + "]"
    if isinstance(value, Decimal):
        return format(value, "f")
    return json.dumps(value, ensure_ascii=False)


def faults_of(validator, value):
    try:
        return [error.message for error in validator.iter_errors(value)]
    except ValueError as error:  # the hostname checker's way to say no to ""
        return [str(error)]


def run(options):
    from jsonschema import Draft202012Validator
    rng = random.Random(options.seed)
    maker = Maker(rng)
    checker = Draft202012Validator.FORMAT_CHECKER
    cases = [(schema, lambda values=values: copy.deepcopy(rng.choice(values))) for schema, values in BY_HAND]
    while len(cases) < options.count:
        cases.append(maker.whole())

    asked = []
    for index, (schema, make) in enumerate(cases):
        validator = Draft202012Validator(schema, format_checker=checker)
        values = [make() for _ in range(4)]
        for value in values:
            validator.validate(value)  # or the generator is wrong
        good = [dump(value, pairs, colon) for value in values for pairs, colon in ((", ", ": "), (",", ":"))]
        bad = []
        for value in values * 4:
            other = spoiled(rng, value)
            if faults_of(validator, other):
                bad.append(dump(other))
        bad += [good[0] + " ", good[0][:-1] + "\x00"]
        asked.append((schema, validator, good, bad, {"source": dump(schema), "samples": options.samples, "seed": index + 1, "check": good + bad,
                                                     "line_breaks": index % 4 == 3}))
    begin = time.time()
    lines = "".join(json.dumps(line) + "\n" for *_, line in asked)
    done = subprocess.run([options.program, options.tokenizer], input=lines.encode(), stdout=subprocess.PIPE)
    answers = [json.loads(line) for line in done.stdout.decode().splitlines()]
    if done.returncode != 0 or len(answers) != len(asked):
        raise SystemExit("%s ended with %d after %d of %d schemas" % (options.program, done.returncode, len(answers), len(asked)))

    faults, sampled, unfinished, taken, refused = [], 0, 0, 0, 0
    for (schema, validator, good, bad, _), answer in zip(asked, answers):
        if "error" in answer:
            faults.append("%s\n    not compiled: %s" % (dump(schema), answer["error"]))
            continue
        for text in answer["samples"]:
            if text is None:
                unfinished += 1
                continue
            sampled += 1
            try:
                errors = faults_of(validator, json.loads(text, parse_float=Decimal))
            except ValueError as error:
                errors = ["not JSON: %s" % error]
            if errors:
                faults.append("%s\n    allowed %r: %s" % (dump(schema), text, errors[0][:200]))
        for text, takes in zip(good + bad, answer["takes"]):
            wanted = text in good
            taken += wanted
            refused += not wanted
            if takes != wanted:
                faults.append("%s\n    %s %r" % (dump(schema), "took" if takes else "refused", text))
    for fault in faults[:SHOWN]:
        print("  " + fault)
    print("%d schemas, seed %d: %d sampled texts valid or listed above (%d did not end), %d valid values to take, %d invalid to refuse, %d differences, %.0f s"
          % (len(asked), options.seed, sampled, unfinished, taken, refused, len(faults), time.time() - begin))
    if unfinished * 20 > sampled:
        print("  too many did not end")
        return 1
    return 1 if faults else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--samples", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tokenizer", default=os.path.join(ROOT, "tests", "golden", "tokenizer", "qwen2", "tokenizer.json"))
    parser.add_argument("--install")
    options = parser.parse_args()
    if options.install:
        sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
        from python_venv import ensure
        python = ensure(options.install, PACKAGES)
        arguments = [a for i, a in enumerate(sys.argv[1:]) if a != "--install" and sys.argv[i] != "--install"]
        return subprocess.call([python, os.path.abspath(__file__), *arguments])
    return run(options)


if __name__ == "__main__":
    sys.exit(main())
