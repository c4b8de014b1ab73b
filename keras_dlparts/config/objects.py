"""Objects of Python in a dict config, where parts stand: a layer, a model, a data set.

A file holds none. What a run's resolved config says of one:

    {object: keras.Adam, config: {learning_rate: 0.001, ...}}       what serialises
    {object: keras.EarlyStopping, attributes: {patience: 3, ...}}   a callback
    {object: __main__.Net, note: "..."}                             what does not

That tells what it was, and two runs apart. It does not make the object again.
"""

import collections
import hashlib
import json
import math
import os
import re
import sys
from dataclasses import dataclass
from typing import Any

# A config file has at most 256 KiB and 40 levels; a large model's own would not fit.
_MOST_BYTES = 32 * 1024
_MOST_LEVELS = 20
# The file in which a run keeps the model that it was given, as it was before training.
INITIAL = "initial.keras"


class PythonObject:
    """An object among a config's values, which nothing looks into or copies."""

    def __init__(self, value):
        self.value = value

    def __repr__(self):
        return name_of(self.value)

    def __deepcopy__(self, memo):
        return self


@dataclass
class OwnData:
    """Data of one's own and how it is to be taken: what `data.own.source_of` takes."""

    data: Any
    validation: Any = None
    batch_size: int | None = None
    validation_split: float | None = None
    steps: int | None = None

    def source(self, seed):
        """The source that it stands for."""
        from keras_dlparts.data.own import source_of

        return source_of(**vars(self), seed=seed)


def in_place_of_a_part(value, path):
    """Whether a value of a dict config is an object that stands for a part."""
    if path == ("data",):
        return _is_data(value) and not (isinstance(value, dict) and "use" in value)
    return isinstance(value, _bases()) or _is_function(value)


def _is_data(value):
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return False
    if isinstance(value, dict):
        return any(_is_data(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(map(_is_data, value))
    return True


def as_plain(value):
    """A path of `pathlib` as a text and a number of numpy as Python's; others as is.

    >>> import pathlib
    >>> as_plain(pathlib.PurePosixPath("a/b.csv")), as_plain(3)
    ('a/b.csv', 3)
    """
    numpy = sys.modules.get("numpy")  # where it is not, nobody has made a number of it
    if numpy is not None and isinstance(value, numpy.generic):
        return value.item()
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _is_function(value):
    return callable(value) and not isinstance(value, (type, *_bases()))


def _bases():
    """The base classes of what stands for a part. Without Keras there are none."""
    return tuple(base for found in _by_kind().values() for base in found)


def _by_kind():
    keras = sys.modules.get("keras")
    if keras is None:  # then nobody has made an object of it
        return {}
    from keras_dlparts.optimizers.clipping_rule import ClippingRule

    return {
        "layers": (keras.layers.Layer,),
        "models": (keras.Model,),
        "optimizers": (keras.optimizers.Optimizer,),
        "clipping": (ClippingRule,),
        "schedules": (keras.optimizers.schedules.LearningRateSchedule,),
        "losses": (keras.losses.Loss,),
        "metrics": (keras.metrics.Metric,),
        "callbacks": (keras.callbacks.Callback,),
        "initializers": (keras.initializers.Initializer,),
        "regularizers": (keras.regularizers.Regularizer,),
        "constraints": (keras.constraints.Constraint,),
    }


# Where a function may stand for a part, and what it is then.
_FUNCTIONS = ("models", "losses", "metrics")


def is_of(value, kind):
    """Whether an object can stand for a part of a kind."""
    if kind == "data":
        return True
    if isinstance(value, _by_kind()[kind]):
        return True
    return kind in _FUNCTIONS and _is_function(value)


def name_of(value):
    """What an object is: `keras.Dense`, `dlparts.Maxout`, `my_module.Net`.

    >>> import keras
    >>> name_of(keras.optimizers.SGD()), name_of(_is_data)
    ('keras.SGD', 'the function keras_dlparts.config.objects._is_data')
    """
    if isinstance(value, OwnData):
        return name_of(value.data)
    if isinstance(value, tuple | list | dict) or hasattr(value, "ndim"):
        return "arrays"
    if isinstance(value, type(name_of)):
        return f"the function {value.__module__}.{value.__qualname__}"
    kind = type(value)
    keras = sys.modules.get("keras")
    registered = keras.saving.get_registered_name(kind) if keras else ""
    if ">" in registered:
        return registered.replace(">", ".")
    vendors = {"keras": "keras", "keras_dlparts": "dlparts"}
    if vendor := vendors.get(kind.__module__.partition(".")[0]):
        return f"{vendor}.{kind.__name__}"
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")


def described(value):
    """What a resolved config says of an object, as plain values.

    >>> import keras
    >>> described(keras.layers.Rescaling(2.0))["config"]["scale"]
    2.0
    """
    import keras

    said = {"object": name_of(value)}
    if isinstance(value, keras.callbacks.Callback):
        return said | {"attributes": _attributes(value)}
    if hasattr(value, "element_spec") and hasattr(value, "train"):
        return said | _of_data(value)
    if _is_function(value) and not hasattr(value, "get_config"):
        return said
    try:
        config = keras.saving.serialize_keras_object(value)["config"]
        return said | _fitting(_plain(config))
    except Exception as error:  # each object may refuse in its own way
        return said | {"note": f"it cannot be written down: {_first_line(error)}"}


def model_note(model):
    """`described` of a model, with the name of the file in which its run keeps it."""
    said = described(model)
    writable = "config" in said or "sha256" in said
    return said | ({"file": INITIAL} if writable else {})


def unregistered(model):
    """The names of classes and functions in a model that Keras does not know."""
    import keras

    found, rest = {}, [keras.saving.serialize_keras_object(model)]
    while rest:
        value = rest.pop()
        rest += value.values() if isinstance(value, dict) else value
        rest = [each for each in rest if isinstance(each, dict | list)]
        if isinstance(value, dict) and "class_name" in value and "module" in value:
            name = value.get("registered_name")
            theirs = str(value["module"] or "").startswith(("keras", "builtins"))
            if name and ">" not in name and not theirs:
                found[name] = None
    return [*found]


def compiled(model):
    """What a resolved config says of how a model was compiled."""
    try:
        given = model.get_compile_config() or {}
    except Exception:  # a `compile` of its own may keep what cannot be written down
        given = {}
    weights = {"loss_weights": _plain(w)} if (w := given.get("loss_weights")) else {}
    loss, metrics = given.get("loss"), []
    for key in ("metrics", "weighted_metrics"):
        several = given.get(key) or []
        several = several if isinstance(several, list) else [several]
        metrics += [_compiled_note(each) for each in several]
    return {
        "optimizer": described(model.optimizer),
        "loss": None if loss is None else _compiled_note(loss) | weights,
        "metrics": metrics,
    }


def _compiled_note(said):
    """A note of what Keras has serialised of a loss or a metric."""
    if isinstance(said, str):
        return {"object": said}
    if isinstance(said, dict) and "class_name" in said:
        name = said.get("registered_name") or f"keras.{said['class_name']}"
        return {"object": name.replace(">", "."), "config": _plain(said["config"])}
    return {"object": "several", "config": _plain(said)}


def _first_line(error):
    text = " ".join(str(error).split()).partition("Example:")[0].strip()
    return text or type(error).__name__


def _fitting(config):
    """The config, or what tells it from others where it is too large for a file."""
    text = json.dumps(unnumbered(config), sort_keys=True)
    if len(text) <= _MOST_BYTES and _levels(config) <= _MOST_LEVELS:
        return {"config": config}
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"sha256": digest, "note": "its config is too large to be written here"}


def unnumbered(value):
    """Plain values without the numbers that Keras gives to objects without a name.

    It counts them over a process, so the same model is `dense_3` or `dense_7`.

    >>> dense = {"class_name": "Dense", "config": {"name": "dense_3"}}
    >>> unnumbered([dense, ["dense_3", 0]])
    [{'class_name': 'Dense', 'config': {'name': 'dense#0'}}, ['dense#0', 0]]
    """
    names, counts = {}, collections.Counter()

    def collect(value):
        for item in value.values() if isinstance(value, dict) else value:
            if isinstance(item, dict | list):
                collect(item)
        if not isinstance(value, dict) or not isinstance(value.get("config"), dict):
            return
        kind = str(value.get("class_name", value.get("object"))).rpartition(".")[2]
        name = str(value["config"].get("name"))
        if is_numbered(name, kind) and name not in names:
            stem = _snake_case(kind)
            names[name] = f"{stem}#{counts[stem]}"
            counts[stem] += 1

    def renamed(value):
        if isinstance(value, dict):
            return {key: renamed(item) for key, item in value.items()}
        if isinstance(value, list):
            return [renamed(item) for item in value]
        return names.get(value, value) if isinstance(value, str) else value

    collect(value)
    return renamed(value)


def is_numbered(name, kind):
    """Whether Keras has given this name to an object of a class.

    >>> is_numbered("dense_3", "Dense"), is_numbered("last", "Dense")
    (True, False)
    """
    return bool(re.fullmatch(rf"{re.escape(_snake_case(kind))}(_\d+)?", name))


def _snake_case(name):
    """The name of a class as Keras makes the names of its objects of it."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _levels(value):
    items = value.values() if isinstance(value, dict) else value
    if not isinstance(items, list) and not isinstance(value, dict):
        return 0
    return 1 + max(map(_levels, items), default=0)


def _plain(value):
    """JSON's types, finite numbers only: what every config file can hold."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def _attributes(callback):
    """The arguments of a callback that it keeps under their names, as plain values.

    Its other attributes change as it trains.
    """
    from keras_dlparts.config.signature import arguments

    found = {
        name: _plain(value)
        for name in arguments(type(callback))
        if isinstance(
            value := getattr(callback, name, ...), bool | int | float | str | None
        )
    }
    if isinstance(found.get("min_delta"), int | float):
        found["min_delta"] = abs(found["min_delta"])  # its sign changes in training
    return found


def _of_data(source):
    """What is to be said of a source: its arguments, the shapes of its batches."""
    import keras

    from keras_dlparts.data.own import Arrays
    from keras_dlparts.data.source import Spec

    origin = getattr(source, "origin", source)
    named = "arrays" if isinstance(source, Arrays) else name_of(origin)
    said = {"object": named} | {
        name: value
        for name, value in sorted(vars(source).items())
        if name[0] != "_" and isinstance(value, bool | int | float | str)
    }
    said["batches"] = len(source.train)

    def words(spec):
        return f"{spec.dtype} {list(spec.shape)}"

    for name, spec in zip(("x", "y"), source.element_spec, strict=True):
        is_one = spec is None or isinstance(spec, Spec)
        if not is_one:
            said[name] = _plain(keras.tree.map_structure(words, spec))
        else:
            said[name] = None if spec is None else words(spec)
    return said


def refuse(document, what, but=()):
    """Raise a ConfigError where a config has objects of Python.

    Args:
        document: The config's `Document`.
        what: What cannot have them, in words.
        but: Keys at the top of the config in which they may be.
    """

    def look(value, path):
        if isinstance(value, PythonObject):
            message = f"{what} makes models again and again, and an object of Python "
            message += f"is one. Received: {value}. Name the part, with its arguments"
            document.problem(path, message)
        elif isinstance(value, dict | list):
            steps = value if isinstance(value, dict) else range(len(value))
            for step in steps:
                look(value[step], (*path, step))

    for key, value in document.values.items():
        if key not in but:
            look(value, (key,))
    document.raise_problems()


def is_note(value):
    """Whether a value is what `described` says, as a resolved config has it."""
    return isinstance(value, dict) and "object" in value and "use" not in value
