"""Where the keys and values of a valid TOML or JSON text stand.

`tomllib` and `json` give values without places. This walks the text once more and
notes the places. They have accepted the text before, so nothing is checked here.
JSON's objects and arrays are walked as TOML's inline tables and arrays.
"""

import bisect
import json
import re
import tomllib

_SKIP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\])*"|\'[^\']*\'', re.S
)
_SCALAR = re.compile(r"[^,\]}#\n]+")


def toml_places(text):
    """(places of keys, places of values), each {path: (line, column)} from 1."""
    walk = _Walk(text, lambda quoted: tomllib.loads(f"key = {quoted}")["key"])
    walk.quietly(walk.document)
    return walk.keys, walk.values


def json_places(text):
    """As `toml_places`, and [(path, place)] of the keys given twice."""
    walk = _Walk(text, json.loads)
    walk.quietly(lambda: walk.value(()))
    return walk.keys, walk.values, walk.repeated


class _Walk:
    def __init__(self, text, unquote):
        self.text = text
        self.unquote = unquote
        self.i = 0
        self.lines = [0] + [found.end() for found in re.finditer("\n", text)]
        self.keys, self.values = {}, {(): (1, 1)}
        self.tables = {}  # arrays of tables: path -> how many so far
        self.repeated = []

    def quietly(self, walk):
        """Walk; what nests too deep for Python has no places from there on."""
        try:
            walk()
        except RecursionError:
            return

    def place(self):
        line = bisect.bisect_right(self.lines, self.i)
        return line, self.i - self.lines[line - 1] + 1

    def skip(self):
        self.i = _SKIP.match(self.text, self.i).end()
        return self.text[self.i : self.i + 1]

    def document(self):
        base = ()
        while head := self.skip():
            if head != "[":
                self.pair(base)
                continue
            array = self.text.startswith("[[", self.i)
            at = self.place()
            self.i += 1 + array
            base = self.indexed(self.dotted(), array)
            for end in range(1, len(base) + 1):
                self.keys.setdefault(base[:end], at)
                self.values.setdefault(base[:end], at)
            self.skip()
            self.i += 1 + array

    def indexed(self, steps, array):
        """A table's path with the index of the array of tables it stands in."""
        path = ()
        for n, (step, _) in enumerate(steps):
            path = (*path, step)
            if array and n == len(steps) - 1:
                self.tables[path] = self.tables.get(path, -1) + 1
            if path in self.tables:
                path = (*path, self.tables[path])
        return path

    def dotted(self):
        steps = []
        while True:
            self.skip()
            at = self.place()
            quoted = _STRING.match(self.text, self.i)
            found = quoted or _BARE.match(self.text, self.i)
            self.i = found.end()
            steps.append((self.unquote(found[0]) if quoted else found[0], at))
            if self.skip() != ".":
                return steps
            self.i += 1

    def pair(self, base):
        path = base
        for step, at in self.dotted():
            path = (*path, step)
            self.keys.setdefault(path, at)
            self.values.setdefault(path, at)
        if self.keys[path] != at:  # given before: only JSON allows that
            self.repeated.append((path, at))
        self.i += 1  # the "=" or ":"
        self.value(path)

    def value(self, path):
        head = self.skip()
        self.values[path] = self.place()
        if head == "{":
            self.items("}", lambda _: self.pair(path))
        elif head == "[":
            self.items("]", lambda n: self.value((*path, n)))
        else:
            found = _STRING.match(self.text, self.i) or _SCALAR.match(self.text, self.i)
            self.i = found.end()

    def items(self, end, item):
        self.i += 1
        n = 0
        while self.skip() != end:
            if self.text[self.i] == ",":
                self.i += 1
                continue
            item(n)
            n += 1
        self.i += 1
