"""The grammar of configs, walked in one place.

    value   = scalar | {key: value, ...} | [item, ...] | space
    item    = value | {repeat: count, of: [item, ...]}      the items, so many times
    space   = {search: kind, ...}          for `one_of`, with values as its branches

`space.py` follows one choice through it, `whole_space.py` follows all of them.
"""

import abc
from dataclasses import dataclass, replace

from keras_dlparts.config.searched import is_space, problems_of

MAX_REPEAT = 1000


@dataclass(frozen=True)
class At:
    """Where a walk stands.

    `old` is the path in the file, and `new` that in the result, where repetitions are
    written out and branches have taken their `one_of`'s place. `name` is what a choice
    here is called: as `old`, with the branches and repetitions in it. `given` is on
    what other choices this place depends.
    """

    old: tuple = ()
    new: tuple = ()
    name: tuple = ()
    given: tuple = ()

    def below(self, step):
        """One step down, into a mapping."""
        old, new, name = (*self.old, step), (*self.new, step), (*self.name, step)
        return replace(self, old=old, new=new, name=name)

    def branch(self, index, label):
        """A branch of the `one_of` here."""
        return replace(self, old=(*self.old, "of", index), name=(*self.name, label))


class Walk(abc.ABC):
    """Abstract: goes through values and gives what they become."""

    def value(self, value, at):
        self.enter(at)
        if is_space(value):
            wrong = [*problems_of(value)]
            for below, message, key in wrong:
                self.note(at, below, message, key)
            return None if wrong else self.space(value, at)
        if isinstance(value, dict):
            return {key: self.value(item, at.below(key)) for key, item in value.items()}
        if isinstance(value, list):
            return self._items(value, at, [])
        return value

    def _items(self, items, at, result):
        """Append what the items of a list become."""
        for i, item in enumerate(items):
            inner = At((*at.old, i), (*at.new, len(result)), (*at.name, i), at.given)
            if not (isinstance(item, dict) and "repeat" in item):
                result.append(self.value(item, inner))
                continue
            inner = replace(inner, name=(*inner.name, "repeat"))
            for n, given in self.times(item, inner):
                name = (*inner.name, n)
                self._items(
                    item["of"], At((*inner.old, "of"), at.new, name, given), result
                )
        return result

    def enter(self, at):  # noqa: B027 - most need nothing of it
        """Called at each value."""

    @abc.abstractmethod
    def note(self, at, below, message, key=False):
        """Note a problem at a path below a place, at its key if `key`."""

    @abc.abstractmethod
    def space(self, spec, at):
        """What a searched value becomes; `spec` is sound."""

    @abc.abstractmethod
    def times(self, item, at):
        """[(n, `given` of the items), ...] of each repetition of a `repeat`."""
