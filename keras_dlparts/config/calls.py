"""A part and the arguments that it will be called with."""

import importlib.metadata
from dataclasses import dataclass, field

from keras_dlparts import registry
from keras_dlparts.config import objects
from keras_dlparts.config.lengths import Length
from keras_dlparts.config.signature import REQUIRED, own_arguments


@dataclass
class Call:
    """A part and the arguments it will be called with (values, or calls again)."""

    part: registry.Part
    target: object
    path: tuple
    arguments: dict = field(default_factory=dict)
    sources: object = None  # a layer's `from:`

    def written(self):
        """The call as a config says it, every default written out."""
        given = {k: written(v) for k, v in self.arguments.items()}
        defaults = {
            name: plain(value)
            for name, value in own_arguments(self.target).items()
            if name not in given and value is not REQUIRED and _is_plain(value)
        }
        tail = {"from": self.sources} if self.sources is not None else {}
        return {"use": self.part.name} | given | defaults | tail


class Ready(Call):
    """An object of Python in the place of a call.

    Args:
        value: The object.
        kind: The kind of part that it stands for.
        path: Where it stands.
        make: `make(value, **arguments)` gives what is used; None for the object itself.

    Attributes:
        made: What was made of it last, or None.
    """

    def __init__(self, value, kind, path, make=None):
        super().__init__(_part(kind, objects.name_of(value)), self._make, path)
        self.value, self.made_by = value, make
        self.made = value if make is None else None

    def _make(self, **arguments):
        if self.made_by is not None:
            self.made = self.made_by(self.value, **arguments)
        return self.made

    def written(self):
        tail = {"from": self.sources} if self.sources is not None else {}
        given = self.value if self.made is None else self.made
        return objects.described(given) | tail


class Noted(Call):
    """What a resolved config says of an object of Python: to be given again.

    Only a model that the run's folder has as a file can be made.
    """

    def __init__(self, note, kind, path, folder):
        super().__init__(_part(kind, str(note["object"])), self._make, path)
        self.note, self.folder, self.made = note, folder, None

    def _make(self):
        if "file" not in self.note or self.folder is None:
            raise ValueError(
                "it was given as an object of Python, which no file holds. Give it "
                "again, as in train(config, data=...) or evaluate(run, data=...)"
            )
        from keras_dlparts.config.kept import load_initial

        self.made = load_initial(self.folder / str(self.note["file"]))
        return self.made

    def written(self):
        return self.note


def _part(kind, name):
    """The registered part of an object's name, or what stands for one."""
    try:
        return registry.find(kind, name)
    except registry.RegistryError:
        return registry.Part(kind, name, "", "")


def written(value):
    """A value as a config says it: calls as `{use: ...}` with every default."""
    if isinstance(value, Call | Length):
        return value.written()
    if isinstance(value, list):
        return [written(item) for item in value]
    if isinstance(value, dict):
        return {key: written(item) for key, item in value.items()}
    return value


def _is_plain(value):
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def plain(value):
    """A default as a config has it: tuples are lists."""
    return [plain(v) for v in value] if isinstance(value, tuple | list) else value


def distributions(calls):
    """{distribution: version} of every part in a tree of calls."""
    found = {}
    for call in calls:
        name = call.part.distribution.rpartition(" ")[0]
        if name:  # a class of the user's own has none
            found[name] = importlib.metadata.version(name)
        found |= distributions(_inner_calls(call.arguments))
    return found


def ready_objects(value):
    """Every object of Python in a tree of calls, as its `Ready`."""
    found = [value] if isinstance(value, Ready) else []
    inner = value.arguments if isinstance(value, Call) else value
    return found + [o for call in _inner_calls(inner) for o in ready_objects(call)]


def _inner_calls(value):
    if isinstance(value, Call):
        return [value]
    items = value.values() if isinstance(value, dict) else value
    if isinstance(items, str | int | float | Length | None):
        return []
    return [call for item in items for call in _inner_calls(item)]
