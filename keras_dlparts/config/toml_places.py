"""Where the keys and values of a valid TOML text stand.

`tomllib` gives values without places. This walks a text that tomllib has already
accepted, so it may be loose about what is valid and strict about nothing.
"""

import re

_SKIP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\])*"|\'[^\']*\'', re.S
)
_SCALAR = re.compile(r"[^,\]}#\n]+")


def toml_places(text):
    """(places of keys, places of values), each {path: (line, column)} from 1."""
    walk = _Walk(text)
    walk.document()
    return walk.keys, walk.values


class _Walk:
    def __init__(self, text):
        self.text = text
        self.i = 0
        self.keys, self.values = {}, {(): (1, 1)}
        self.tables = {}  # arrays of tables: path -> how many so far

    def place(self):
        start = self.text.rfind("\n", 0, self.i) + 1
        return self.text.count("\n", 0, self.i) + 1, self.i - start + 1

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
            self.keys.setdefault(base, at)
            self.values.setdefault(base, at)
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
            found = _STRING.match(self.text, self.i) or _BARE.match(self.text, self.i)
            self.i = found.end()
            steps.append((found[0].strip("\"'"), at))
            if self.skip() != ".":
                return steps
            self.i += 1

    def pair(self, base):
        path = base
        for step, at in self.dotted():
            path = (*path, step)
            self.keys.setdefault(path, at)
            self.values.setdefault(path, at)
        self.i += 1  # the "="
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
