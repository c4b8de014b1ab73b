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

from keras_dlparts.config.document import MAX_VALUES, Document, copied
from keras_dlparts.config.errors import (
    ConfigError,
    Problem,
    did_you_mean,
    path_text,
    shown,
)
from keras_dlparts.config.grammar import MAX_REPEAT, At, Walk
from keras_dlparts.config.searched import branch_labels, default_of


def settle(document, choose=default_of):
    """A document without spaces: `choose(name, spec)` gives each one's value.

    Problems of the spaces are noted in the new document, with the user's paths.
    """
    settled = Document(None, document.name, folder=document.folder)
    settled.problems = list(document.problems)
    settled.marks = {path: at for path, at in document.marks.items() if not path}
    walk = _Settle(document, settled, choose)
    # Key by key: at the top `search:` is a section, and no searched value.
    values = document.values.items()
    settled.values = {key: walk.value(value, At().below(key)) for key, value in values}
    return settled


class _Settle(Walk):
    """Follows one choice. Places and paths of the result are noted on the way."""

    def __init__(self, source, target, choose):
        self.source = source
        self.target = target
        self.choose = choose
        self.count = 0

    def enter(self, at):
        self.count += 1
        if self.count > MAX_VALUES:
            place = self.source.place(at.old)
            message = f"more than {MAX_VALUES} values, once repeated"
            raise ConfigError([Problem(*place, path_text(at.old), message)])
        for places, moved in (
            (self.source.keys, self.target.keys),
            (self.source.marks, self.target.marks),
        ):
            if at.old in places:
                moved[at.new] = places[at.old]
        if at.old != at.new:
            self.target.shown[at.new] = at.old

    def note(self, at, below, message, key=False):
        # Places are known for the paths that the user wrote.
        self.source.problem((*at.old, *below), message, key)
        self.target.problems.append(self.source.problems.pop())
        self.target.bad.add(at.new)

    def space(self, spec, at):
        chosen = self.choose(path_text(at.name), spec)
        if spec["search"] != "one_of":
            return copied(chosen)
        label = branch_labels(spec["of"])[chosen]
        return self.value(spec["of"][chosen], at.branch(chosen, label))

    def times(self, item, at):
        before = len(self.target.problems)
        for key in item.keys() - {"repeat", "of"}:
            hint = did_you_mean(key, ["repeat", "of"])
            self.note(at, (key,), f"unknown key {key!r} of a repeat; {hint}", key=True)
        if not isinstance(item.get("of"), list):
            self.note(at, (), "`repeat:` needs `of:`, the list of layers to repeat")
        counted = At((*at.old, "repeat"), (*at.new, "repeat"), at.name)
        count = self.value(item["repeat"], counted)
        if len(self.target.problems) > before:
            return []
        if type(count) is not int or not 0 <= count <= MAX_REPEAT:
            message = f"a whole number from 0 to {MAX_REPEAT} is expected"
            self.note(at, ("repeat",), f"{message}. Received: {shown(count)}")
            return []
        return [(n, ()) for n in range(count)]
