"""A part and the arguments that it will be called with."""

import importlib.metadata
from dataclasses import dataclass, field

from keras_dlparts import registry
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
        found[name] = importlib.metadata.version(name)
        found |= distributions(_inner_calls(call.arguments))
    return found


def _inner_calls(value):
    if isinstance(value, Call):
        return [value]
    items = value.values() if isinstance(value, dict) else value
    if isinstance(items, str | int | float | Length | None):
        return []
    return [call for item in items for call in _inner_calls(item)]
