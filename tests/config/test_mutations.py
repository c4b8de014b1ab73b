"""Good configs, damaged at random: a ConfigError or success, and nothing else."""

import copy
import json

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from keras_dlparts.config import load
from keras_dlparts.config.assemble import assemble
from keras_dlparts.config.errors import ConfigError

GOOD = {
    "dlparts": 1,
    "data": {"use": "digits", "batch_size": 50},
    "model": [
        {"use": "Dense", "units": 4, "name": "a", "kernel_regularizer": {"use": "L2"}},
        {"use": "Dense", "units": 4, "from": "input", "name": "b"},
        {"use": "Add", "from": ["a", "b"]},
        {"repeat": {"search": "int", "min": 1, "max": 2}, "of": ["Flatten"]},
        {"search": "one_of", "of": [{"use": "Dropout", "rate": 0.1}, "Flatten"]},
        {"use": "RandomDropout", "rate": {"search": "float", "min": 0, "max": 0.5}},
        {"use": "Dense", "units": 10},
    ],
    "optimizer": {
        "use": "Adam",
        "learning_rate": {"search": "float", "min": 1e-4, "max": 0.1, "scale": "log"},
    },
    "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
    "metrics": ["accuracy", {"use": "SparseTopKCategoricalAccuracy", "k": 3}],
    "callbacks": [{"use": "EarlyStopping", "patience": 2}],
    "compile": {"jit_compile": False},
    "fit": {"epochs": 1, "class_weight": {"0": 1.5}},
    "best": {"monitor": "loss", "mode": "min"},
    "seed": 1,
}
TOML = """\
seed = 1
loss = "mse"
metrics = ["accuracy", {use = "SparseTopKCategoricalAccuracy", k = 3}]
fit.epochs = 2
data = {use = "digits", 'batch_size' = 50}
[[model]]
use = "Dense"
units = 0xA
[model.kernel_regularizer]
use = "L2"
[[model]]
use = \"\"\"Dropout\"\"\"
rate = 0.5
"""
TEXTS = {
    "config.json": json.dumps(GOOD, indent=1),
    "config.yaml": yaml.safe_dump(GOOD, sort_keys=False) + "# \u00e9\nname: &x a\n",
    "config.toml": TOML,
}
QUICKLY = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
WORDS = st.sampled_from(
    ["use", "search", "of", "repeat", "from", "name", "min", "max", "default", "step",
     "scale", "values", "one_of", "choice", "float", "int", "bool", "Dense", "Adam",
     "adam", "Lambda", "Input", "keras.", ".", "acme.Gate", "os.system", "model",
     "seed", "digits", "npz", "mse", "accuracy", "input", "a", "b", "relu", "log",
     "true", "no", "1e-3"]
)  # fmt: skip
SCALARS = st.one_of(
    WORDS,
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.sampled_from([2**31, -(2**70), 10**400, 0.5, 1e308, float("nan"), float("inf")]),
    st.text(max_size=5),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(WORDS, inner, max_size=3),
    ),
    max_leaves=5,
)
SNIPPETS = st.one_of(
    st.text(max_size=4),
    st.text("[]{}()\"'\\:,.#&*!|>-=%@`?~<\t\n\r \0\x07\ufeff\u2028\x85", max_size=4),
    st.sampled_from(
        ["&x ", "*x", "<<: *x", "!!int ", "---\n", "...", '"""', "'''", "[[", "\\u",
         "[" * 50, "9" * 50, "0x", "1e999", "{a: ", "? ", "search: int", "[model]\n"]
    ),
)  # fmt: skip


def spots(value, path=()):
    """The paths of everything in a tree of values."""
    yield path
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for step, inner in items:
        yield from spots(inner, (*path, step))


@st.composite
def damaged(draw):
    """The good config after one to three blows."""
    config = copy.deepcopy(GOOD)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([*spots(config)][1:] or [("model",)]))
        at = config
        for step in path[:-1]:
            at = at[step]
        step = path[-1]
        assume(step in at if isinstance(at, dict) else True)
        blow = draw(st.sampled_from(["drop", "rename", "swap", "wrap", "copy", "move"]))
        if blow == "drop":
            del at[step]
        elif blow == "rename" and isinstance(at, dict):
            at[draw(st.one_of(WORDS, st.text(max_size=4)))] = at.pop(step)
        elif blow == "wrap":
            at[step] = draw(st.sampled_from([[at[step]], {"use": at[step]}]))
        elif blow == "copy" and isinstance(at, list):
            at.insert(step, copy.deepcopy(at[step]))
        elif blow == "move":
            found = draw(st.sampled_from([*spots(config)][1:]))
            value = config
            for inner in found:
                value = value[inner]
            at[step] = copy.deepcopy(value)
        else:
            at[step] = draw(VALUES)
    return config


def outcome(check):
    """Whether a check accepts; a ConfigError must tell something."""
    try:
        check()
    except ConfigError as error:
        if not all(problem.message for problem in error.problems or [None]):
            raise
        return False
    return True


@pytest.mark.long
@QUICKLY
@given(config=damaged())
def test_damaged_values(config):
    outcome(lambda: assemble(load(config)))


@pytest.mark.long
@QUICKLY
@given(config=damaged(), form=st.sampled_from(["json", "yaml"]))
def test_damaged_values_in_a_file(tmp_path, config, form):
    path = tmp_path / f"config.{form}"
    text = json.dumps(config) if form == "json" else yaml.safe_dump(config)
    path.write_text(text)
    outcome(lambda: load(path))


@pytest.mark.long
@QUICKLY
@given(
    name=st.sampled_from(sorted(TEXTS)),
    start=st.integers(0, 2000),
    cut=st.one_of(st.integers(0, 20), st.just(10**6)),
    snippet=SNIPPETS,
)
def test_damaged_texts(tmp_path, name, start, cut, snippet):
    text = TEXTS[name]
    start %= len(text) + 1
    damaged_text = text[:start] + snippet + text[start + cut :]
    (tmp_path / name).write_bytes(damaged_text.encode("utf-8", "surrogatepass"))
    outcome(lambda: load(tmp_path / name))


@QUICKLY
@given(name=st.sampled_from(sorted(TEXTS)), data=st.binary(max_size=40))
def test_any_bytes(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    assert not outcome(lambda: load(tmp_path / name))


@pytest.mark.long
@QUICKLY
@given(
    path=st.one_of(
        st.sampled_from(["model[0].units", "optimizer.learning_rate", "fit", "a[0"]),
        st.text(max_size=6),
    ),
    value=st.one_of(SNIPPETS, VALUES.map(json.dumps)),
)
def test_any_override(path, value):
    outcome(lambda: load(GOOD, [f"{path}={value}"]))


@pytest.mark.parametrize("name", TEXTS)
def test_the_undamaged_are_good(tmp_path, name):
    (tmp_path / name).write_text(TEXTS[name])
    assert outcome(lambda: load(tmp_path / name))
    assert outcome(lambda: assemble(load(GOOD)))
