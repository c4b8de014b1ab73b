"""A config's search space as KerasTuner's hyperparameters, and its values back.

    float, int           Float, Int      with `step` on a float: an ordered Choice, for
                                         0.1 + 0.1 + 0.1 is not 0.3
    bool                 Boolean
    choice               Choice of the values, or of their texts where they are of
                         several types, null, lists or mappings
    one_of               Choice of the branches' labels

What counts only in a branch or a repetition has that as its condition. Every name is a
path with the branches in it, so no name stands under two conditions: KerasTuner would
silently lose a value.
"""

import json

from keras_dlparts.config.errors import ConfigError, Problem
from keras_dlparts.config.searched import branch_labels, steps_of
from keras_dlparts.searching import kerastuner


def declare(spaces, hp):
    """Add a whole space to a `keras_tuner.HyperParameters`; what it has stays."""
    hp.merge([_hyperparameter(space) for space in spaces], overwrite=False)
    return hp


def require(spaces, document):
    """Raise ConfigError for a config without anything to search."""
    if not spaces:
        message = "nothing in the config is searched; give a value as {search: ...}"
        raise ConfigError([Problem(document.name, (), "", message)])


def chooser(values):
    """A `choose` for `settle` that takes KerasTuner's values, {name: value}."""

    def choose(name, spec):
        return decoded(spec, values[name])

    return choose


def decoded(spec, value):
    """The config's value for KerasTuner's; for `one_of` the index of the branch."""
    kind = spec["search"]
    if kind == "one_of":
        return branch_labels(spec["of"]).index(value)
    if kind == "choice":
        return spec["values"][choice_values(spec).index(value)]
    return value


def shown_value(spec, value):
    """KerasTuner's value as a config's: for `one_of` the branch's label."""
    return value if spec["search"] == "one_of" else decoded(spec, value)


def choice_values(spec):
    """What stands for a choice's values in KerasTuner, which takes one plain type."""
    values = spec["values"]
    if {type(value) for value in values} in ({int}, {float}, {str}):
        return values
    texts = [v if isinstance(v, str) else json.dumps(v) for v in values]
    if len({*texts}) < len(texts):  # as in ["null", null]
        texts = [json.dumps(value) for value in values]
    return texts


def _hyperparameter(space):
    types = kerastuner.load().engine.hyperparameters
    spec, kind, default = space.spec, space.spec["search"], space.spec.get("default")
    common = {
        "name": space.name,
        "conditions": [kerastuner.parent(*given) for given in space.given],
    }
    if kind == "bool":
        return types.Boolean(default=bool(default), **common)
    if kind == "one_of":
        return types.Choice(values=branch_labels(spec["of"]), default=default, **common)
    if kind == "choice":
        values = choice_values(spec)
        if "default" in spec:
            default = values[spec["values"].index(default)]
        return types.Choice(values=values, default=default, **common)
    if kind == "float" and "step" in spec:
        values = steps_of(spec)
        default = default if default is None else min(values, key=_far_from(default))
        return types.Choice(values=values, default=default, ordered=True, **common)
    make = types.Int if kind == "int" else types.Float
    return make(
        min_value=spec["min"],
        max_value=spec["max"],
        step=spec.get("step"),
        sampling=spec.get("scale", "linear"),
        default=default if default is None or kind == "int" else float(default),
        **common,
    )


def _far_from(value):
    return lambda other: abs(other - value)
