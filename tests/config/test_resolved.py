"""The resolved config: complete, a fixed point, and the same weights."""

import json
import sys

import keras
import numpy as np
import pytest
import yaml

import keras_dlparts
from keras_dlparts import registry
from keras_dlparts.config import load
from keras_dlparts.config.construct import construct
from keras_dlparts.config.document import Document
from keras_dlparts.config.parts import check_part
from keras_dlparts.config.signature import REQUIRED, own_arguments

SCHEDULE = {"use": "CosineDecay", "initial_learning_rate": 0.1, "decay_steps": 9}
CONFIG = {
    "name": "given",
    "seed": 5,
    "data": {"use": "digits", "validation_split": 0.2},
    "model": [
        {"use": "Dense", "units": 8, "name": "a", "kernel_regularizer": {"use": "L2"}},
        {"use": "Reshape", "target_shape": [8, 8], "from": "input"},
        {"use": "Bidirectional", "layer": {"use": "LSTM", "units": 2}},
        {"repeat": {"search": "int", "min": 2, "max": 3}, "of": ["Identity"]},
        {
            "search": "one_of",
            "of": [{"use": "RandomDropout", "rate": 0.5, "name": "b"}],
        },
        {"use": "Concatenate", "from": ["a", "b"]},
        {"use": "Dense", "units": 10},
    ],
    "optimizer": {"use": "SGD", "learning_rate": SCHEDULE},
    "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
    "metrics": ["accuracy", "SparseTopKCategoricalAccuracy"],
    "callbacks": [{"use": "EarlyStopping", "monitor": "loss"}, "TerminateOnNaN"],
    "fit": {"class_weight": {"0": 2.0}},
    "compile": {"jit_compile": False},
}
# Arguments that Keras' parts need, by name; parts that need others are left out.
NEEDED = {
    "cells": [{"use": "LSTMCell", "units": 3}],
    "cropping": 1,
    "decay_rate": 0.9,
    "decay_steps": 3,
    "dims": [2, 1],
    "equation": "ab,bc->ac",
    "factor": 0.2,
    "filepath": "a.keras",
    "filters": 2,
    "first_decay_steps": 4,
    "groups": 1,
    "height": 4,
    "initial_learning_rate": 0.1,
    "input_dim": 5,
    "kernel_size": 2,
    "key_dim": 3,
    "layer": {"use": "LSTM", "units": 2},
    "n": 3,
    "num_classes": 3,
    "num_heads": 2,
    "output_dim": 3,
    "output_shape": [3],
    "rate": 0.5,
    "stddev": 0.1,
    "target_shape": [3],
    "units": 3,
    "width": 4,
}
# They need one of several arguments, or refuse those above.
LEFT_OUT = {
    "BayesianSparsityDropout",
    "CategoryEncoding",
    "Discretization",
    "Input",
    "Phased",
    "RandomPosterization",
    "TiedConv",
    "TiedDense",
}


def test_every_argument_is_written_out():
    resolved = load(CONFIG).resolved()
    assert set(resolved) == {
        "dlparts", "name", "data", "model", "optimizer", "loss", "metrics", "callbacks",
        "compile", "distribute", "pretrain", "fit", "best", "seed", "deterministic",
        "dtype_policy", "backend", "versions",
    }  # fmt: skip
    parts = []

    def walk(value):
        if isinstance(value, dict):
            if "use" in value:
                parts.append(value)
            value = list(value.values())
        if isinstance(value, list):
            for item in value:
                walk(item)

    plain = ("versions", "distribute")
    walk({key: value for key, value in resolved.items() if key not in plain})
    assert len(parts) == 17
    for part in parts:
        # A loss and a metric share a name, and not all arguments.
        found = registry.find_any(part["use"])
        known = [set(own_arguments(one.load())) for one in found]
        assert any(arguments <= set(part) for arguments in known), part["use"]


def test_what_is_written():
    resolved = load(CONFIG).resolved()
    assert resolved["backend"] == keras.backend.backend()
    assert resolved["versions"]["keras"] == keras.__version__
    assert "keras-dlparts" in resolved["versions"]
    assert resolved["seed"] == resolved["data"]["seed"] == 5
    assert resolved["data"]["batch_size"] == 32
    assert len(resolved["model"]) == 8
    assert resolved["model"][1]["from"] == "input"
    assert "from" not in resolved["model"][0]
    assert resolved["model"][0]["kernel_regularizer"] == {"use": "keras.L2", "l2": 0.01}
    assert resolved["model"][5]["use"] == "dlparts.RandomDropout"
    assert resolved["optimizer"]["learning_rate"]["alpha"] == 0.0
    assert resolved["metrics"][0] == "accuracy"
    assert resolved["fit"] == {
        "epochs": 10, "class_weight": {0: 2.0}, "validation_freq": 1,
        "checkpoint_every": None,
    }  # fmt: skip
    assert resolved["compile"]["jit_compile"] is False


def test_it_loads_to_itself(tmp_path):
    resolved = load(CONFIG).resolved()
    assert load(resolved).resolved() == resolved
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(resolved, sort_keys=False))
    (tmp_path / "a.json").write_text(json.dumps(resolved))
    assert load(tmp_path / "a.yaml").resolved() == resolved
    assert load(tmp_path / "a.json").resolved() == resolved


def test_it_builds_the_same_model():
    first = keras_dlparts.build(CONFIG)
    again = keras_dlparts.build(load(CONFIG).resolved())
    for ours, theirs in zip(first.get_weights(), again.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)
    assert len(first.get_weights()) == 10
    ours, theirs = first.optimizer.get_config(), again.optimizer.get_config()
    assert ours | {"name": ""} == theirs | {"name": ""}  # numbered by Keras


def again(kind, name, arguments):
    """A part made from a config, and from its resolved config; both configs."""
    values = {"use": name, **arguments}
    configs = []
    for _ in range(2):
        document = Document(None)
        call = check_part(document, values, kind, ())
        document.raise_problems()
        made = construct(document, call)
        document.raise_problems()
        values = call.written()
        configs.append((values, made))
    return configs


@pytest.mark.parametrize("kind", [k for k in registry.KINDS if k != "data"])
def test_every_part_of_keras(kind):
    """Abstract ends such as `rank` and `pool_mode` are not written, and not asked."""
    count = 0
    for name in registry.names(kind):
        taken = own_arguments(registry.find(kind, name).load())
        needed = {key for key, default in taken.items() if default is REQUIRED}
        if needed <= set(NEEDED) and name.partition(".")[2] not in LEFT_OUT:
            given = {key: NEEDED[key] for key in needed}
            (first, _), (second, _) = again(kind, name, given)
            assert first == second, name
            count += 1
    least = {"layers": 120, "models": 0, "schedules": 5, "constraints": 4}
    assert count >= least.get(kind, min(5, len(registry.names(kind))))


@pytest.mark.parametrize("part", registry.parts("layers"), ids=lambda part: part.name)
def test_every_layer_of_ours(part):
    target = part.load()
    for case in sys.modules[target.__module__].CASES[target.__name__]:
        if callable(case["arguments"]):  # they hold layers, which no config does
            continue
        (first, made), (second, again_made) = again(
            "layers", part.name, case["arguments"]
        )
        assert first == second
        assert set(own_arguments(target)) - {"name"} <= set(first)
        ours, theirs = made.get_config(), again_made.get_config()
        for config in (ours, theirs):
            config.pop("name")  # numbered by Keras
        assert ours == theirs
