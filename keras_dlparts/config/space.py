"""The search space in a config, and how it is settled to plain values.

    {search: float, min: 1e-4, max: 1e-2, scale: log, step: ..., default: 1e-3}
    {search: int,   min: 32, max: 256, scale: linear, step: 32, default: 64}
    {search: choice, values: [relu, tanh], default: relu}
    {search: bool, default: true}
    {search: one_of, of: [{use: Dropout, rate: 0.5}, RandomDropout], default: ...}
    {repeat: {search: int, ...}, of: [layers ...]}      in a list: the layers, n times

A value's name is its path, with the branch or the repetition in it:
`model[1].RandomDropout.rate`, `model[2].repeat[0][1].units`. The number of
repetitions is `model[2].repeat`.
Without a `default` plain training takes the first: min, the first value, false,
the first branch.
"""

from keras_dlparts.config.document import MAX_VALUES, Document
from keras_dlparts.config.errors import (
    ConfigError,
    Problem,
    did_you_mean,
    path_text,
    shown,
)
from keras_dlparts.config.searched import (
    branch_labels,
    default_of,
    is_space,
    problems_of,
)

MAX_REPEAT = 1000


def settle(document, choose=default_of):
    """A document without spaces: `choose(name, spec)` gives each one's value.

    Problems of the spaces are noted in the new document, with the user's paths.
    """
    settled = Document(None, name=document.name, problems=list(document.problems))
    settled.marks = {path: at for path, at in document.marks.items() if not path}
    walk = _Settle(document, settled, choose)
    settled.values = walk.mapping(document.values, (), (), ())
    return settled


class _Settle:
    """Walks the values with three paths for each.

    `old` is where it stands in the file, `new` where in the result, and `name` is
    what its choice is called: as `old`, with the branches and repetitions in it.
    """

    def __init__(self, source, target, choose):
        self.source = source
        self.target = target
        self.choose = choose
        self.here = ()
        self.count = 0

    def value(self, value, old, new, name):
        self.count += 1
        if self.count > MAX_VALUES:
            at = self.source.place(old)
            message = f"more than {MAX_VALUES} values, once repeated"
            raise ConfigError([Problem(*at, path_text(old), message)])
        for places, moved in (
            (self.source.keys, self.target.keys),
            (self.source.marks, self.target.marks),
        ):
            if old in places:
                moved[new] = places[old]
        if old != new:
            self.target.shown[new] = old
        if is_space(value):
            return self.space(value, old, new, name)
        if isinstance(value, dict):
            return self.mapping(value, old, new, name)
        if isinstance(value, list):
            settled = []
            self.extend(settled, value, old, new, name)
            return settled
        return value

    def mapping(self, items, old, new, name):
        return {
            k: self.value(v, (*old, k), (*new, k), (*name, k)) for k, v in items.items()
        }

    def extend(self, settled, items, old, new, name):
        """Append the settled items of a list, the repeated ones as often as said."""
        for i, item in enumerate(items):
            path, called, at = (*old, i), (*name, i), (*new, len(settled))
            if not (isinstance(item, dict) and "repeat" in item):
                settled.append(self.value(item, path, at, called))
                continue
            called = (*called, "repeat")
            for n in range(self.repeat_count(item, path, at, called)):
                self.extend(settled, item["of"], (*path, "of"), new, (*called, n))

    def repeat_count(self, item, path, new, name):
        self.here = new
        before = len(self.target.problems)
        for key in item.keys() - {"repeat", "of"}:
            hint = did_you_mean(key, ["repeat", "of"])
            self.note(
                (*path, key), f"unknown key {key!r} of a repeat; {hint}", key=True
            )
        if not isinstance(item.get("of"), list):
            self.note(path, "`repeat:` needs `of:`, the list of layers to repeat")
        count = self.value(item["repeat"], (*path, "repeat"), (*new, "repeat"), name)
        if len(self.target.problems) > before:
            return 0
        whole = isinstance(count, int) and not isinstance(count, bool)
        if not whole or not 0 <= count <= MAX_REPEAT:
            message = f"a whole number from 0 to {MAX_REPEAT} is expected"
            self.note((*path, "repeat"), f"{message}. Received: {shown(count)}")
            return 0
        return count

    def space(self, spec, old, new, name):
        self.here = new
        wrong = [*problems_of(spec)]
        for below, message, key in wrong:
            self.note((*old, *below), message, key)
        if wrong:
            return None
        chosen = self.choose(path_text(name), spec)
        if spec["search"] != "one_of":
            return chosen
        branch = branch_labels(spec["of"])[chosen]
        return self.value(
            spec["of"][chosen], (*old, "of", chosen), new, (*name, branch)
        )

    def note(self, path, message, key=False):
        # Spaces are checked where the user wrote them.
        self.source.problem(path, message, key)
        self.target.problems.append(self.source.problems.pop())
        self.target.bad.add(self.here)
