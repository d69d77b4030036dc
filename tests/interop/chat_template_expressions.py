"""Random small templates over a fixed context, for chat_template_diff.py."""

CONTEXT = {
    "a": 3, "b": -7, "z": 0, "f": 2.5, "g": -0.1, "h": 1e22, "t": True, "n": None, "s": "Hello, World", "e": "",
    "u": "Straße ÉCOLE \U0001F600 ñ", "w": "  pad\t\n", "num": "42", "fl": " 3.75 ", "lines": "one\ntwo\r\n\nfour", "q": "it's \"q\"\\",
    "l": [3, 1, 2], "m": [1, "x", None, 2.0, [1]], "names": ["bob", "Alice", "carol", "ALICE"], "el": [],
    "d": {"k": 1, "items": "hidden", "b": [1, 2], "é": "ü"}, "ed": {},
    "users": [{"name": "bob", "age": 30, "tags": ["x", "y"]}, {"name": "Al", "age": 25}, {"name": "cy", "age": 30, "tags": []}],
    "deep": {"x": {"y": [{"z": "found"}]}}, "big": 12345678901234567890, "markup": "<b>&'\"</b>",
}
NAMES = list(CONTEXT) + ["missing"]
TEXTS = ["s", "e", "u", "w", "num", "fl", "lines", "q", "markup", "names[0]", "'a,b,,c'", "'x'", "'Hello %s'", "'{}-{0}'", "'{} {:>5}'",
         "'%d|%5.2f|%-4s|'", "'aaa'", "'title case-word (x'", "'ß'", "missing", "a"]
LISTS = ["l", "m", "names", "el", "users", "d", "range(5)", "range(5, 0, -2)", "s", "[1, 2, 2, 3.0, true]", "('a', 'b')", "[[1, 2], [3]]",
         "['b', 'a', 'B']", "d.items()", "d.keys()", "users|map(attribute='age')", "missing", "[none, none]", "a"]
NUMBERS = ["a", "b", "z", "f", "g", "h", "t", "1", "2", "10", "3.0", "7.5", "1e3", "-2", "big", "0.1", "true", "num", "missing", "n"]
# No ** here: the original would compute enormous integers.
BINARY = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]
TEXT_FILTERS = [
    "upper", "lower", "title", "capitalize", "trim", "trim('Hd ')", "length", "count", "string", "list", "first", "last", "reverse",
    "replace('l', 'L')", "replace('l', 'L', 1)", "replace('', '-')", "default('D')", "d('D', true)", "int", "int(7)", "int(0, 16)", "float",
    "float(1.5)", "wordcount", "indent", "indent(2, true)", "indent('> ', first=true, blank=true)", "truncate(8)", "truncate(6, true, '!')",
    "truncate(5, leeway=0)", "center(21)", "tojson", "format(1)", "format('x', 2)", "format(a=1)", "join('-')", "unique|list", "sort",
    "sort(reverse=true)|join", "batch(3)|list", "map('upper')|list", "select('in', 'aeiou')|join", "max", "min", "slice(3)|list", "abs", "e"]
LIST_FILTERS = [
    "join", "join(', ')", "join('|', attribute='name')", "length", "first", "last", "list", "sort", "sort(reverse=true)", "sort(true, true)",
    "sort(attribute='name')", "sort(attribute='age,name')", "sort(case_sensitive=true)", "unique|list", "unique(true)|list",
    "unique(attribute='age')|list", "reverse|list", "sum", "sum(start=10)", "sum(attribute='age')", "min", "max", "max(attribute='age')",
    "min(true)", "batch(2)|list", "batch(2, 'f')|list", "slice(2)|list", "slice(2, 0)|list", "groupby('age')", "groupby('name', default='z')",
    "groupby('tags', default='z')", "map(attribute='name')|list", "map(attribute='tags.0', default='none')|list", "map('string')|list",
    "map('default', 'q')|join", "map('int')|sum", "map('nope')|list", "map", "select|list", "select('odd')|list", "select('string')|list",
    "select('>', 1)|list", "reject('none')|list", "reject('sameas', none)|list", "selectattr('tags')|list", "selectattr('age', 'eq', 30)|list",
    "selectattr('name', 'in', ['bob'])|map(attribute='age')|list", "rejectattr('age', 'gt', 26)|list", "rejectattr('tags', 'defined')|list",
    "tojson", "tojson(indent=2)", "tojson(sort_keys=true)", "tojson(separators=(',', ':'))", "tojson(ensure_ascii=true)",
    "tojson(indent=0)", "tojson(indent='-', separators=('; ', '='))", "dictsort", "dictsort(by='value')", "dictsort(true, reverse=true)",
    "items|list", "default([])", "string", "length|string", "attr('keys')", "attr('nope')", "upper", "random is defined", "select()|list|length"]
NUMBER_FILTERS = ["abs", "round", "round(1)", "round(1, 'ceil')", "round(0, 'floor')", "round(-1)", "int", "float", "string", "default(1)",
                  "tojson", "round(2)|string", "int|abs", "upper", "length", "list", "e"]
TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "mapping", "sequence", "iterable", "callable", "true",
         "false", "odd", "even", "divisibleby 3", "divisibleby(2)", "eq 3", "ne(none)", "gt 1", "lt(2)", "ge 3", "le 3", "in [1, 3]", "in 'x'",
         "lower", "upper", "sameas none", "sameas true", "equalto('x')", "filter", "test", "escaped"]
METHODS = [
    "upper()", "lower()", "strip()", "lstrip()", "rstrip()", "strip('Hd')", "rstrip('\\n')", "split()", "split(',')", "split(',', 1)",
    "split('l', maxsplit=1)", "rsplit('l', 1)", "rsplit(None, 1)", "split('')", "splitlines()", "splitlines(true)", "startswith('H')",
    "endswith(('d', 'x'))", "startswith('e', 1)", "replace('l', 'L')", "replace('l', '', 2)", "title()", "capitalize()", "swapcase()",
    "casefold()", "find('o')", "rfind('o')", "find('o', 5)", "find('', 50)", "index('z')", "count('l')", "count('')", "count('l', 3, -1)", "join(['a', 'b'])",
    "join(names)", "join(l)", "isdigit()", "isalpha()", "isalnum()", "isspace()", "islower()", "isupper()", "istitle()", "isnumeric()",
    "isdecimal()", "isidentifier()", "isprintable()", "isascii()", "zfill(8)", "ljust(15)~'|'", "rjust(15, '*')", "center(15, '-')",
    "center(14, '-')", "partition(',')", "rpartition('l')", "removeprefix('He')", "removesuffix('ld')", "expandtabs(4)", "format(1, 2)",
    "format(*l)", "format(x=1)", "keys()", "values()", "items()", "get('k')", "get('zz', 5)", "get()", "keys()|list", "values()|list",
    "items()|list", "copy()", "count(1)", "index(1)", "index('x')", "append(1)", "pop()", "update({})", "clear()", "setdefault('q', 1)", "nope()",
    "name", "items", "k", "x.y[0].z", "x.nope", "__class__", "_private", "real", "0", "encode()"]
FORMATS = ["'%s' % x", "'%r' % x", "'%5s|%-5s|' % (x, x)", "'%d' % x", "'%05d' % x", "'%+.3f' % x", "'%x' % x", "'%e' % x", "'%g' % x", "'%c' % x",
           "'%(k)s' % d", "'%%' % ()", "'%s %s' % (x,)", "'%.2s' % x", "'%i%%' % x", "'%#x' % x", "'{}'.format(x)", "'{:>8}|'.format(x)",
           "'{:<8}|{:^9}|'.format(x, x)", "'{:.2f}'.format(x)", "'{:,}'.format(x)", "'{:08.3f}'.format(x)", "'{!r}'.format(x)", "'{0[0]}'.format(x)",
           "'{k[k]}'.format(k=x)", "'{x:{w}}'.format(x=x, w=7)", "'{:+d}'.format(x)", "'{:x}'.format(x)", "'{:%}'.format(x)", "'{:e}'.format(x)",
           "'{:g}'.format(x)", "'{:_}'.format(x)", "'{{}}{}'.format(x)", "'{:*^10}'.format(x)", "'{:s}'.format(x)", "'{:.3}'.format(x)",
           "'{a.nope}'.format(a=x)", "'{:#b}'.format(x)"]
STATEMENTS = [
    "{%% for x in %(l)s %%}{{ loop.index }}{{ loop.first }}{{ loop.last }}{{ x }};{%% else %%}none{%% endfor %%}",
    "{%% for x in %(l)s if %(e)s %%}{{ loop.index0 }}/{{ loop.length }} {{ x }}{%% if loop.index > 2 %%}{%% break %%}{%% endif %%}{%% endfor %%}",
    "{%% for x in %(l)s %%}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }}{{ loop.cycle('o', 'e') }}{{ loop.changed(x) }}{{ loop.revindex }}{{ loop.revindex0 }}{%% endfor %%}",
    "{%% for x in %(l)s %%}{%% continue %%}{%% else %%}E{%% endfor %%}",
    "{%% for x, y in %(l)s %%}{{ x }}={{ y }},{%% endfor %%}",
    "{%% for x in %(l)s %%}{%% for y in %(l)s %%}{{ loop.index }}{{ x == y }}{%% if loop.last %%}{{ loop.depth }}{%% endif %%}{%% endfor %%}{{ loop.index }}{%% endfor %%}",
    "{%% set v = %(e)s %%}{{ v }}{%% for x in [1, 2] %%}{{ v }}{%% set v = x %%}{{ v }}{%% endfor %%}{{ v }}",
    "{%% for x in [1, 2] %%}{%% if x == 2 %%}{%% set a = 'in' %%}{%% endif %%}{{ a }}{%% endfor %%}{{ a }}",
    "{%% for x in [1, 2] %%}{%% set a = a ~ x %%}{{ a }}{%% endfor %%}{{ a }}",
    "{%% set v, w = %(l)s %%}{{ v }}|{{ w }}",
    "{%% set v %%}x{{ %(e)s }}y{%% endset %%}{{ v|upper }}{{ v|length }}",
    "{%% set v | upper | replace('A', 'b') %%}a{{ %(e)s }}{%% endset %%}{{ v }}",
    "{%% set ns = namespace(v=%(e)s, c=0) %%}{%% for x in %(l)s %%}{%% set ns.c = ns.c + 1 %%}{%% set ns.last = x %%}{%% endfor %%}{{ ns.c }}{{ ns.v }}{{ ns.last }}{{ ns.nope }}",
    "{%% set ns = namespace({'k': 1}) %%}{{ ns }}{{ ns.k }}{{ ns['k'] }}{%% set a.b = 1 %%}",
    "{%% if %(e)s %%}A{%% elif %(e)s %%}B{%% else %%}C{%% endif %%}",
    "{{ %(e)s if %(e)s else %(e)s }}{{ 'x' if %(e)s }}",
    "{%% macro f(x, y=%(e)s, z='q') %%}[{{ x }}{{ y }}{{ z }}{{ varargs }}{{ kwargs }}]{%% endmacro %%}{{ f(1) }}{{ f(%(e)s, z=%(e)s) }}{{ f(1, 2, 3, 4, k=5) }}",
    "{%% macro f(x) %%}<{{ x }}{{ caller('c') }}>{%% endmacro %%}{%% call(c) f(%(e)s) %%}{{ c }}{{ x }}{%% endcall %%}",
    "{%% macro f(x) %%}{{ x }}{{ a }}{%% set a = 9 %%}{{ a }}{%% endmacro %%}{{ f(%(e)s) }}{{ a }}{{ f() }}{{ f.name }}{{ f.arguments }}",
    "{%% macro f(x) %%}{%% if x > 0 %%}{{ x }}{{ f(x - 1) }}{%% endif %%}{%% endmacro %%}{{ f(3) }}{{ f(%(n)s) }}",
    "{%% filter upper %%}a{{ %(e)s }}{%% endfilter %%}",
    "{%% with v = %(e)s, w = 2 %%}{{ v }}{{ w }}{%% set v = 3 %%}{{ v }}{%% endwith %%}{{ v }}",
    "{%% for x in [[1, [2, 3]], 4] recursive %%}{{ loop.depth }}:{%% if x is iterable %%}({{ loop(x) }}){%% else %%}{{ x }}{%% endif %%}{%% endfor %%}",
    "{%% set c = cycler('a', %(e)s) %%}{{ c.next() }}{{ c.next() }}{{ c.current }}{%% set j = joiner('; ') %%}{{ j() }}x{{ j() }}y",
    "{%% generation %%}{%% set a = 5 %%}{{ a }}{{ %(e)s }}{%% endgeneration %%}{{ a }}",
    "{{ dict(a=1, **{'b': %(e)s}) }}{{ dict([('x', 1)]) }}{{ dict(%(l)s) }}",
    "{{ %(l)s[0] }}{{ %(l)s[-1] }}{{ %(l)s['k'] }}{{ %(l)s[%(n)s] }}",
    "{{ %(l)s[1:] }}{{ %(l)s[::-1] }}{{ %(l)s[-2:5:2] }}{{ %(l)s[:a] }}{{ %(l)s[b:] }}",
    "{{ [%(e)s, %(e)s] }}{{ (%(e)s,) }}{{ {'k': %(e)s, 1: 2, true: 3} }}",
    "{{ %(n)s < %(n)s < %(n)s }}{{ 1 < %(n)s <= 3 != %(n)s }}{{ not %(e)s }}{{ -%(n)s }}{{ +%(n)s }}",
    "  {%% if true %%}  \n  x\n  {%%- endif %%}  \n{# c #}\n\n  {{- %(e)s -}}  \n y {%%+ if true %%} z {%% endif +%%}\n.\n",
    "{%% raw %%} {{ x }} {%% endraw %%}\n{%%- raw -%%}  {%% y %%} {%% endraw -%%}  k {#- c -#} \n {{ %(e)s }}\n",
    "{%% set x = %(e)s %%}{{ [x is %(t)s, x is not %(t)s] }}",
    "{%% set x = %(l)s %%}{{ x is %(t)s }}",
    "{%% set x = %(e)s %%}{{ %(f)s }}",
    "{%% set x = %(n)s %%}{{ %(f)s }}",
    "{{ a ** 2 }}{{ 2 ** b }}{{ f ** 2 }}{{ 2 ** 3 ** 2 }}{{ b ** -1 }}{{ z ** 0 }}",
    "{%% print %(e)s, %(n)s %%}{{ %(e)s|default('z', true) }}",
    "{{ raise_exception(%(e)s) if %(e)s }}",
    "{%% if false %%}{{ x|nofilter }}{{ x is notest }}{%% endif %%}ok{{ %(e)s }}",
    "{%% for x in range(3) %%}{%% for y in range(3) if y != x %%}{%% if y == 1 %%}{%% break %%}{%% endif %%}{{ x }}{{ y }}{%% else %%}e{%% endfor %%}{%% endfor %%}",
    "{%% set ns = namespace(on=true) %%}{%% for x in range(4) if ns.on %%}{{ x }}{%% if x == 1 %%}{%% set ns.on = false %%}{%% endif %%}{%% endfor %%}",
    "{%% for k, v in d.items() %%}{{ k }}:{{ v }}{%% if not loop.last %%}, {%% endif %%}{%% endfor %%}{%% for k in d|dictsort %%}{{ k }}{%% endfor %%}",
]


def expression(rng, depth=0):
    pick = rng.random()
    if depth > 2 or pick < 0.12:
        return rng.choice([rng.choice(NAMES), rng.choice(NUMBERS), rng.choice(TEXTS), rng.choice(LISTS)])
    if pick < 0.24:
        return "(%s)|%s" % (rng.choice(TEXTS), rng.choice(TEXT_FILTERS))
    if pick < 0.38:
        return "(%s)|%s" % (rng.choice(LISTS), rng.choice(LIST_FILTERS))
    if pick < 0.44:
        return "(%s)|%s" % (rng.choice(NUMBERS), rng.choice(NUMBER_FILTERS))
    if pick < 0.58:
        owner = rng.choice([rng.choice(TEXTS), rng.choice(LISTS), rng.choice(NAMES)])
        return "(%s).%s" % (owner, rng.choice(METHODS))
    if pick < 0.66:
        return "(%s) is %s%s" % (expression(rng, depth + 1), rng.choice(["", "not "]), rng.choice(TESTS))
    if pick < 0.72:
        return "(%s)|%s" % (expression(rng, depth + 1), rng.choice(TEXT_FILTERS + LIST_FILTERS))
    if pick < 0.80:
        return "%s %s %s" % (rng.choice(NUMBERS), rng.choice(BINARY), rng.choice(NUMBERS))
    if pick < 0.84:
        return "%s %s %s %s %s" % (rng.choice(NUMBERS), rng.choice(BINARY), rng.choice(NAMES), rng.choice(BINARY), rng.choice(NUMBERS))
    return "(%s) %s (%s)" % (expression(rng, depth + 1), rng.choice(BINARY), expression(rng, depth + 1))


def template(rng):
    if rng.random() < 0.55:
        return "{{ %s }}" % expression(rng)

    class Parts(dict):
        def __getitem__(self, kind):
            return {"l": lambda: rng.choice(LISTS), "n": lambda: rng.choice(NUMBERS), "t": lambda: rng.choice(TESTS),
                    "f": lambda: rng.choice(FORMATS), "e": lambda: expression(rng, 1)}[kind]()
    return rng.choice(STATEMENTS) % Parts()
