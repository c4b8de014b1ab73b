"""The annotation is the schema: what each one takes, in a plugin of our making too."""

import importlib
import math
import re

import jsonschema
import pytest

from keras_dlparts import registry, static
from keras_dlparts.config import annotations, load, types
from keras_dlparts.config.construct import construct
from keras_dlparts.config.errors import ConfigError
from keras_dlparts.config.json_schema import json_schema
from keras_dlparts.config.signature import REQUIRED, type_of, types_of

PLUGIN = '''
"""A plugin of the tests."""
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import keras
from keras import layers as kl

from keras_dlparts.optimizers import ClippingRule

if TYPE_CHECKING:
    import nowhere


class Gate(keras.layers.Layer):
    """A base class of the plugin's own."""


class Typed(keras.layers.Layer):
    """Takes one of everything.

    Args:
        size: How large
            it is.
        per: What for.
        {names}
    """

    def __init__(
        self,
        size: int = 3,
        rate: float = 0.5,
        fast: bool = False,
        label: str = "a",
        per: Literal["sample", "batch", 1] = "sample",
        sizes: list[int] = (),
        pair: tuple[int, float] | None = None,
        many: Sequence[str] | None = None,
        table: dict[str, float] | None = None,
        inner: kl.Layer | None = None,
        gate: Gate | None = None,
        stack: list[keras.layers.Layer] | keras.layers.Layer | None = None,
        by: ClippingRule | None = None,
        limit: float = float("inf"),
        activation: str | Callable | None = None,
        start: str | keras.initializers.Initializer = "zeros",
        net: keras.Model | None = None,
        path: str | os.PathLike = "",
        lost: "nowhere.Thing | None" = None,
        late: "list[int] | None" = None,
        every: Any = None,
        fn: Callable = len,
        penalty: keras.regularizers.Regularizer | None = None,
        fixed: keras.constraints.Constraint | None = None,
        rule: keras.optimizers.Optimizer | None = None,
        ramp: float | keras.optimizers.schedules.LearningRateSchedule = 0.1,
        loss: keras.losses.Loss | None = None,
        score: keras.metrics.Metric | None = None,
        watch: keras.callbacks.Callback | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.took = dict(locals())


class Free(keras.layers.Layer):
    """Says nothing of its arguments."""

    def __init__(self, by="day", layers=(), strides=1, note="", **kwargs):
        super().__init__(**kwargs)
        self.took = dict(locals())
        if strides == 0:
            raise ValueError("strides of 0 are of no use")


class Rule(keras.optimizers.SGD):
    """An optimizer without annotations."""

    def __init__(self, learning_rate=0.5, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
'''


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """The module, installed as a distribution that provides `testing.Typed` etc."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "typed_plugin.py").write_text(PLUGIN)
    info = folder / "typed_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: typed-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[keras_dlparts.layers]\n"
        "testing.Typed = typed_plugin:Typed\n"
        "testing.Free = typed_plugin:Free\n"
        "[keras_dlparts.optimizers]\n"
        "testing.Rule = typed_plugin:Rule\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        registry._entries.cache_clear()
        yield importlib.import_module("typed_plugin")
    registry._entries.cache_clear()


def made(part, **arguments):
    """What a part of the plugin was given, from a config."""
    experiment = load({"model": [{"use": part, **arguments}], "loss": "mse"})
    layer = construct(experiment.document, experiment.model[0])
    experiment.document.raise_problems()
    return layer.took


def refused(part, **arguments):
    """{path below the layer: message} of what is wrong with its arguments."""
    with pytest.raises(ConfigError) as caught:
        load({"model": [{"use": part, **arguments}], "loss": "mse"})
    return {p.path.removeprefix("model[0]."): p.message for p in caught.value.problems}


def test_source_and_objects_say_the_same(plugin):
    said = static.describe("typed_plugin:Typed").parameters
    taken = types_of(plugin.Typed)
    own = [one.name for one in said]
    assert own == list(taken)[: len(own)]
    for one in said:
        assert type_of(one)[0] == taken[one.name], one.name


def test_every_part_says_the_same_in_its_source_and_as_an_object():
    count = 0
    for kind in registry.KINDS:
        for name in registry.names(kind):
            part = registry.find(kind, name)
            taken = types_of(part.load())
            for one in static.describe(part.target).parameters:
                read, default = type_of(one)
                if default is ...:  # as 2.0**15, which the source does not tell
                    continue
                assert read == taken[one.name], (name, one.name)
                count += taken[one.name] != types.ANY
    assert count > 900


@pytest.mark.parametrize(
    ("argument", "good", "bad"),
    [
        ("size", [1, -5], [1.5, True, "1", None, [1], {"use": "Flatten"}, {}]),
        ("rate", [1, 0.5], [True, "x", math.nan, -math.inf, [0.5]]),
        ("fast", [True, False], [1, 0, "yes", None]),
        ("label", ["", "b"], [1, None, True, ["b"]]),
        ("per", ["sample", "batch", 1], ["Batch", True, 1.0, None]),
        ("sizes", [[], [1, 2]], [1, [1, 2.5], ["1"], None]),
        ("pair", [[1, 2.5], None], [[1], [1, 2, 3], 1, ["a", 1]]),
        ("many", [["a"], [], None], ["a", [1]]),
        ("table", [{}, {"a": 1}, None], [[1], {"a": "b"}, 1]),
        ("limit", [math.inf, 1], ["inf", math.nan]),
        ("activation", ["relu", None, {"use": "ReLU"}], [1, ["relu"]]),
        ("start", ["zeros", {"use": "Zeros"}], [1, None, {"use": "Flatten"}]),
        ("path", ["a.npz"], [1, None]),
        ("late", [[1], None], [["a"], 1]),
        ("every", [1, "a", None, [1, "b"], {"a": [1]}], [math.nan]),
        ("fn", [1, "a"], []),
        ("lost", [1, "a", None], []),
    ],
)
def test_values_and_their_types(plugin, argument, good, bad):
    for value in good:
        made("testing.Typed", **{argument: value})
    for value in bad:
        told = refused("testing.Typed", **{argument: value})
        assert all(path.startswith(argument) for path in told), value


@pytest.mark.parametrize(
    ("argument", "value", "kind"),
    [
        ("inner", "Flatten", "layers"),
        ("inner", {"use": "Dense", "units": 2}, "layers"),
        ("gate", {"use": "Dropout", "rate": 0.5}, "layers"),
        ("stack", ["Flatten", {"use": "Dropout", "rate": 0.5}], "layers"),
        ("stack", "ReLU", "layers"),
        ("by", {"use": "FixedNorm", "threshold": 1.0}, "clipping"),
        ("start", "keras.Zeros", "initializers"),
        ("net", {"use": "MLP", "input_shape": [2], "hidden": [3]}, "models"),
        ("penalty", "L2", "regularizers"),
        ("fixed", "NonNeg", "constraints"),
        ("rule", "Adam", "optimizers"),
        ("ramp", {"use": "ExponentialDecay", "initial_learning_rate": 1,
                  "decay_steps": 2, "decay_rate": 0.5}, "schedules"),
        ("loss", "mse", "losses"),
        ("score", {"use": "MeanSquaredError"}, "metrics"),
        ("watch", "TerminateOnNaN", "callbacks"),
    ],
)  # fmt: skip
def test_the_type_says_which_kind_of_part(plugin, argument, value, kind):
    """`MeanSquaredError` is a loss and a metric; the annotation decides."""
    base = {kind: base for base, kind in annotations.BASES.items()}[kind][1]
    took = made("testing.Typed", **{argument: value})[argument]
    for one in took if isinstance(took, list) else [took]:
        assert base in [c.__name__ for c in type(one).__mro__]


def test_parts_of_the_wrong_kind(plugin):
    told = refused("testing.Typed", inner="Adam", by={"use": "Flatten"}, rule="Flaten")
    assert "unknown layer 'Adam'; it is one of the optimizers" in told["inner"]
    assert "unknown clipping rule 'Flatten'" in told["by.use"]
    assert "unknown optimizer 'Flaten'" in told["rule"]


def test_what_is_expected_is_said_in_words(plugin):
    told = refused("testing.Typed", per="bach", sizes=[1, "2"], pair=[1], stack=3)
    assert told == {
        "per": "one of 'sample', 'batch', 1 is expected; did you mean 'batch'? "
        "Received: 'bach'",
        "sizes[1]": "a whole number is expected; write it without quotes. "
        "Received: '2'",
        "pair": "a list of 2 numbers is expected. Received: [1]",
        "stack": "a layer or a list of layers is expected. Received: 3",
    }


def test_without_annotations_anything_goes(plugin):
    """Names as Keras has them for parts mean nothing in a plugin: defect 10."""
    took = made("testing.Free", by="week", layers=["first", "second"], note=3)
    assert (took["by"], took["layers"], took["note"]) == (
        "week",
        ["first", "second"],
        3,
    )
    took = made("testing.Free", by={"a": {"use": "L2", "l2": 0.5}}, layers=["x.y"])
    assert type(took["by"]["a"]).__name__ == "L2"


def test_blame_needs_the_whole_name(plugin):
    """`str` is in "strides": a text beside it is not to blame. Defect 9."""
    experiment = load({"model": [{"use": "testing.Free", "note": "x", "strides": 0}]})
    construct(experiment.document, experiment.model[0])
    (problem,) = experiment.document.problems
    assert problem.path == "model[0]"
    assert problem.message == "testing.Free: strides of 0 are of no use"


def test_rates_of_a_plugins_optimizer(plugin):
    config = {"model": ["Flatten"], "loss": "mse"}
    for rate in (0, -1, math.nan):
        with pytest.raises(ConfigError, match=r"number .*is expected"):
            load(config | {"optimizer": {"use": "testing.Rule", "learning_rate": rate}})
    load(config | {"optimizer": {"use": "testing.Rule", "learning_rate": 0.1}})


def test_the_json_schema_has_types_and_descriptions(plugin):
    schema = json_schema()
    told, common = schema["$defs"]["layers.part"]["allOf"]
    (typed,) = [
        each["then"]["properties"]
        for each in told["then"]["allOf"]
        if re.search(each["if"]["properties"]["use"]["pattern"], "testing.Typed")
    ]
    assert list(typed)[:3] == ["use", "size", "rate"]
    assert {"name", "from"} < {*common["properties"]}  # all layers take them
    assert typed["size"]["description"] == "How large it is."
    assert typed["per"]["default"] == "sample"
    layer = {"use": "testing.Typed", "per": "batch", "sizes": [1], "pair": [1, 0.5]}
    layer |= {"inner": {"use": "Dense", "units": 2}, "activation": None}
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid({"model": [layer]})
    searched = {"search": "int", "min": 1, "max": 3}
    assert validator.is_valid({"model": [layer | {"size": searched}]})
    for wrong in (
        {"per": "bach"},
        {"size": 1.5},
        {"sizes": ["a"]},
        {"pair": [1]},
        {"rate": "x"},
        {"inner": {"use": "Adam"}},
        {"fast": 1},
        {"table": {"a": "b"}},
        {"label": None},
    ):
        assert not validator.is_valid({"model": [layer | wrong]}), wrong


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("int", "a whole number"),
        ("int | float", "a number"),
        ("float | str | None", "a number or text"),
        ("None", "nothing (null)"),
        ("list", "a list"),
        ("list[dict[str, int]]", "a list of mappings"),
        ("'bool'", "true or false"),
        ("typing.Optional[typing.List[int]]", "a list of whole numbers"),
        ("list[int] | tuple[int, int]", "a list of whole numbers"),
        ("typing.Annotated[int, 'x']", "a whole number"),
        ("Literal['a', 'b'] | int", "one of 'a', 'b' or a whole number"),
    ],
)
def test_words(text, names):
    assert annotations.of_source(text, "keras_dlparts.static").names() == names


@pytest.mark.parametrize("text", ["f(x)", "x +", "3", "int if x else str"])
def test_what_is_no_type_takes_anything(text):
    assert annotations.of_source(text, "keras_dlparts.static") in (
        types.ANY,
        types.Type(),
    )


def test_required_and_unknown_defaults():
    said = {one.name: one for one in static.describe("keras.layers:Dense").parameters}
    assert type_of(said["units"]) == (types.ANY, REQUIRED)
    assert type_of(said["use_bias"])[1] is True


def test_arguments_of_our_parts_are_annotated():
    """Those of Keras' classes that ours pass on are not: the table has them."""
    for part in registry.parts():
        if part.vendor == "dlparts":
            for one in static.describe(part.target).parameters:
                ours = not one.module.startswith("keras.")
                assert one.annotation or not ours, f"{part.name}: {one.name}"
