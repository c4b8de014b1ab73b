"""A config as plain values, with the place in the file of every key and value."""

from dataclasses import dataclass, field

from keras_dlparts.config import objects
from keras_dlparts.config.errors import ConfigError, Problem, path_text

MAX_DEPTH = 40
MAX_VALUES = 50_000


def copied(value):
    """A copy of a config's values that may be changed.

    Mappings and lists are new. Whatever else stands in them is the same object, for
    not every object can be copied.
    """
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value


@dataclass
class Document:
    """Values (dicts, lists, scalars), where they stand, and the problems so far.

    Objects of Python, which only a dict can hold, stand there as `PythonObject`.

    `keys` and `marks` map a path to the (line, column), counted from 1, of its key and
    of its value; a dict given in Python has none. `shown` maps a path to the one that
    the user wrote, where the two differ: after a `repeat` or a `one_of` was settled.
    `bad` holds the paths at which something is wrong. `folder` is what the paths of
    files, among the values, are relative to.
    """

    values: object
    name: str = ""
    keys: dict = field(default_factory=dict)
    marks: dict = field(default_factory=dict)
    shown: dict = field(default_factory=dict)
    problems: list = field(default_factory=list)
    bad: set = field(default_factory=set)
    folder: str = ""  # the working directory

    def place(self, path, key=False):
        """(file, (line, column)) of a path, or of the nearest one above it."""
        if key and path in self.keys:
            at = self.keys[path]
        else:
            known = (path[:end] for end in range(len(path), -1, -1))
            at = next((self.marks[p] for p in known if p in self.marks), ())
        if isinstance(at, str):  # an override, "--set ...", which no file holds
            return at, ()
        return self.name, at

    def problem(self, path, message, key=False):
        """Note what is wrong at a path (at its key, if `key`)."""
        self.bad.add(tuple(path))
        self.problems.append(self.told(path, message, key))

    def told(self, path, message, key=False):
        """A message with the place of its path, which is that of its key, if `key`."""
        path = tuple(path)
        shown, end = path, len(path)
        while end and path[:end] not in self.shown:
            end -= 1
        if end:
            shown = self.shown[path[:end]] + path[end:]
        return Problem(*self.place(path, key), path_text(shown), message)

    def is_clean(self, path):
        """Whether nothing is wrong at a path or below it."""
        return not any(bad[: len(path)] == path for bad in self.bad)

    def raise_problems(self):
        if self.problems:
            raise ConfigError(self.problems)

    def check_values(self):
        """Replace the values by a plain copy; note what is no config value."""
        self.count = 0
        self.values = self._plain(self.values, ())

    def _plain(self, value, path):
        self.count += 1
        if len(path) > MAX_DEPTH or self.count > MAX_VALUES:
            limit = f"nested deeper than {MAX_DEPTH} levels"
            if self.count > MAX_VALUES:
                limit = f"more than {MAX_VALUES} values"
            at = self.place(path)
            raise ConfigError([Problem(*at, path_text(path[:3]), limit)])
        if isinstance(value, objects.PythonObject):
            return value
        if objects.in_place_of_a_part(value, path):
            return objects.PythonObject(value)
        if isinstance(value, dict):
            return {str(k): self._plain(v, (*path, str(k))) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self._plain(v, (*path, i)) for i, v in enumerate(value)]
        value = objects.as_plain(value)
        if isinstance(value, int) and abs(value) >= 2**63:
            self.problem(path, "a whole number of at most 64 bits is expected")
        elif value is not None and not isinstance(value, bool | int | float | str):
            self.problem(
                path,
                "a config holds numbers, text, true, false, lists and mappings; parts "
                f"are named with `use`. Received: {value} ({type(value).__name__})",
            )
        return value
