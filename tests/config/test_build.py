"""From a config to a compiled model: branches, nested parts, words, settings."""

import keras
import numpy as np
import pytest

import keras_dlparts
from keras_dlparts.config import load
from keras_dlparts.config.assemble import assemble
from keras_dlparts.config.errors import ConfigError

INPUT = {"use": "Input", "shape": [6]}


def build(*layers, data=None, **more):
    first = [] if data else [INPUT]
    config = {"model": [*first, *layers], "loss": "mse", **more}
    return keras_dlparts.build(config | ({"data": data} if data else {}))


def layer(model, kind):
    """The one layer of a class in a model."""
    (found,) = (one for one in model.layers if type(one).__name__ == kind)
    return found


def test_layers_stand_in_order():
    model = build({"use": "Dense", "units": 3}, "Flatten", {"use": "Dense", "units": 2})
    names = [type(one).__name__ for one in model.layers]
    assert names == ["InputLayer", "Dense", "Flatten", "Dense"]
    assert model.output_shape == (None, 2)


def test_branches_compute_what_they_say():
    ones = {"use": "Dense", "units": 6, "kernel_initializer": "ones"}
    model = build(
        {**ones, "name": "left"},
        {**ones, "name": "right", "from": "input"},
        {"use": "Subtract", "from": ["input", "right"], "name": "less"},
        {"use": "Concatenate", "from": ["left", "less"]},
    )
    x = np.arange(12.0, dtype="float32").reshape(2, 6)
    total = x.sum(1, keepdims=True)
    expected = np.concatenate([np.repeat(total, 6, 1), x - total], 1)
    assert np.allclose(model.predict(x, verbose=0), expected)


def test_attention_takes_a_list_as_several_arguments():
    model = keras_dlparts.build({
        "model": [
            {"use": "Input", "shape": [5, 4]},
            {"use": "Dense", "units": 4, "name": "keys"},
            {"use": "Dense", "units": 3, "name": "values", "from": "input"},
            {"use": "MultiHeadAttention", "num_heads": 2, "key_dim": 4,
             "from": ["input", "values", "keys"]},
        ],
        "loss": "mse",
    })  # fmt: skip
    query, value, key = layer(model, "MultiHeadAttention").input
    assert (query.shape, value.shape, key.shape) == (
        (None, 5, 4), (None, 5, 3), (None, 5, 4)
    )  # fmt: skip
    assert query is model.inputs[0]


def test_attention_of_a_list_takes_it_as_one_argument():
    model = keras_dlparts.build({
        "model": [
            {"use": "Input", "shape": [5, 4]},
            {"use": "Attention", "from": ["input", "input"]},
        ],
        "loss": "mse",
    })  # fmt: skip
    assert model.output_shape == (None, 5, 4)


def test_dict_of_inputs(tmp_path):
    x = np.ones((30, 3), "float32")
    np.savez(tmp_path / "a.npz", left=x, right=2 * x, y=x)
    data = {"use": "npz", "path": str(tmp_path / "a.npz"), "x": ["left", "right"]}
    model = build(
        {"use": "Subtract", "from": ["right", "left"]},
        {"use": "Identity"},
        data=data,
    )
    assert sorted(model.input) == ["left", "right"]
    y = model.predict({"left": x, "right": 2 * x}, verbose=0)
    assert np.array_equal(y, x)


def test_unused_output_may_come_of_a_layer_with_several():
    model = build(
        {"use": "Reshape", "target_shape": [3, 2]},
        {"use": "LSTM", "units": 4, "return_state": True},
        "Concatenate",
    )
    assert model.output_shape == (None, 12)


@pytest.mark.parametrize(
    ("part", "found", "expected"),
    [
        (
            {
                "use": "Dense",
                "units": 2,
                "kernel_regularizer": {"use": "L2", "l2": 0.5},
            },
            lambda one: float(one.kernel_regularizer.l2),
            0.5,
        ),
        (
            {"use": "Dense", "units": 2, "kernel_regularizer": "l2"},
            lambda one: type(one.kernel_regularizer).__name__,
            "L2",
        ),
        (
            {"use": "Dense", "units": 2, "kernel_initializer": {"use": "he_normal"}},
            lambda one: type(one.kernel_initializer).__name__,
            "HeNormal",
        ),
        (
            {"use": "Dense", "units": 2, "kernel_initializer": "keras.Zeros"},
            lambda one: type(one.kernel_initializer).__name__,
            "Zeros",
        ),
        (
            {"use": "Dense", "units": 2, "kernel_constraint": {"use": "MaxNorm"}},
            lambda one: one.kernel_constraint.max_value,
            2,
        ),
        (
            {"use": "Dense", "units": 2, "activation": "relu"},
            lambda one: one.activation,
            keras.activations.relu,
        ),
        (
            {"use": "Dense", "units": 2, "activation": {"use": "LeakyReLU"}},
            lambda one: type(one.activation).__name__,
            "LeakyReLU",
        ),
        (
            {"use": "keras.Dense", "units": 2},
            lambda one: one.units,
            2,
        ),
        (
            {"use": "Bidirectional", "layer": {"use": "LSTM", "units": 3}},
            lambda one: (type(one.forward_layer).__name__, one.forward_layer.units),
            ("LSTM", 3),
        ),
        (
            {"use": "TimeDistributed", "layer": {"use": "Dense", "units": 3}},
            lambda one: one.layer.units,
            3,
        ),
        (
            {"use": "StackedRNNCells", "cells": ["Dense"]},
            None,
            "keras.Dense needs `units:`",
        ),
        (
            {"use": "RandomDropout", "rate": 0.25},
            lambda one: type(one).__module__,
            "keras_dlparts.layers.dropout.random_dropout",
        ),
    ],
)
def test_nested_parts_and_words(part, found, expected):
    config = {"model": [{"use": "Input", "shape": [4, 6]}, part], "loss": "mse"}
    if found is None:
        with pytest.raises(ConfigError, match=expected):
            load(config)
        return
    model = keras_dlparts.build(config)
    assert found(model.layers[-1]) == expected


def test_learning_rate_schedule():
    schedule = {"use": "ExponentialDecay", "initial_learning_rate": 0.5}
    schedule |= {"decay_steps": 10, "decay_rate": 0.1}
    optimizer = {"use": "SGD", "learning_rate": schedule}
    model = build({"use": "Dense", "units": 1}, optimizer=optimizer)
    assert float(model.optimizer.learning_rate) == 0.5
    model.optimizer.iterations.assign(10)
    assert np.isclose(float(model.optimizer.learning_rate), 0.05)


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("adam", "Adam"),
        ("Adam", "Adam"),
        ("keras.Adam", "Adam"),
        ("rmsprop", "RMSprop"),
        ("sgd", "SGD"),
        ({"use": "adamw", "weight_decay": 0.1}, "AdamW"),
    ],
)
def test_optimizer_words(word, kind):
    model = build({"use": "Dense", "units": 1}, optimizer=word)
    assert type(model.optimizer).__name__ == kind


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("mse", "MeanSquaredError"),
        ("mean_squared_error", "MeanSquaredError"),
        ("MAE", "MeanAbsoluteError"),
        ("huber", "Huber"),
        ("KLDivergence", "KLDivergence"),
    ],
)
def test_loss_words(word, kind):
    assert type(build("Flatten", loss=word).loss).__name__ == kind


@pytest.mark.parametrize(
    ("data", "units", "activation", "loss", "name"),
    [
        (
            "digits",
            10,
            "softmax",
            "SparseCategoricalCrossentropy",
            "sparse_categorical",
        ),
        ("parity", 1, "sigmoid", "BinaryCrossentropy", "binary"),
    ],
)
def test_accuracy_is_read_by_its_loss(data, units, activation, loss, name):
    """As Keras reads it; a `{use: Accuracy}` would compare classes with floats."""
    made = assemble(
        load({
            "data": data,
            "model": [{"use": "Dense", "units": units, "activation": activation}],
            "loss": loss,
            "metrics": ["accuracy"],
        })
    )  # fmt: skip
    x, y = map(np.concatenate, zip(*made.data.test, strict=True))
    results = made.model.evaluate(x, y, verbose=0, return_dict=True)
    accuracy = getattr(keras.metrics, f"{name}_accuracy")
    predicted = made.model.predict(x, verbose=0)
    matches = accuracy(y.reshape(len(y), -1), predicted)
    expected = np.mean(keras.ops.convert_to_numpy(matches))
    assert np.isclose(results["accuracy"], expected)


def test_defaults():
    model = keras_dlparts.build({"model": [INPUT, "Flatten"], "loss": "mse"})
    assert type(model.optimizer).__name__ == "Adam"
    assert model.name == "run"


def test_name_of_the_model_is_that_of_the_file(tmp_path):
    path = tmp_path / "my first, net.yaml"
    path.write_text("model: [{use: Input, shape: [3]}, Flatten]\nloss: mse\n")
    assert keras_dlparts.build(path).name == "my-first-net"
    assert keras_dlparts.build(path, ["name=other"]).name == "other"


def test_one_of_and_repeat_take_their_defaults():
    units = {"search": "int", "min": 2, "max": 9}
    some = {"search": "one_of", "of": ["Flatten", {"use": "Dropout", "rate": 0.5}]}
    repeat = {"search": "int", "min": 1, "max": 4, "default": 3}
    model = build(
        {"repeat": repeat, "of": [{"use": "Dense", "units": units}, some]},
        {**some, "default": "Dropout"},
        optimizer={"search": "one_of", "of": ["sgd", "adam"], "default": "adam"},
    )
    kinds = [type(one).__name__ for one in model.layers]
    assert kinds == ["InputLayer", *["Dense", "Flatten"] * 3, "Dropout"]
    assert model.layers[1].units == 2
    assert type(model.optimizer).__name__ == "Adam"


def test_weights_repeat_with_the_seed():
    def weights(seed):
        return build({"use": "Dense", "units": 5}, seed=seed).get_weights()[0]

    assert np.array_equal(weights(3), weights(3))
    assert not np.array_equal(weights(3), weights(4))


def test_data_takes_the_seed_unless_it_has_one():
    config = {"model": ["Flatten"], "loss": "mse", "seed": 7, "data": "digits"}
    assert load(config).data.arguments["seed"] == 7
    assert load(config | {"data": {"use": "digits", "seed": 1}}).data.arguments == {
        "seed": 1
    }


def test_name_that_keras_gives_another_layer():
    with pytest.raises(ConfigError, match=r'"flatten" is used 2 times') as error:
        build({"use": "Dense", "units": 3, "name": "flatten"}, "Flatten")
    assert error.value.problems[0].path == "model"


def test_names_do_not_depend_on_what_was_made_before():
    before = keras.layers.Dense(1).name
    inner = {"use": "ResidualDenseBlock", "units": 3}
    models = [build({"use": "Dense", "units": 3}, inner) for _ in range(2)]
    names = [[v.path for v in model.variables] for model in models]
    assert names[0] == names[1]
    assert [layer.name for layer in models[0].layers][1] == "dense"
    # And whoever makes layers by hand sees nothing of it.
    count = int(before.removeprefix("dense").lstrip("_") or 0)
    assert keras.layers.Dense(1).name == f"dense_{count + 1}"


@pytest.mark.parametrize("fault", [KeyError("no"), RuntimeError("no")])
def test_data_that_fails_to_load(monkeypatch, fault):
    from keras_dlparts.data import Digits

    def load_digits(self):
        raise fault

    monkeypatch.setattr(Digits, "load", load_digits)
    with pytest.raises(ConfigError, match=r"^data\n  dlparts.digits: .*no"):
        build("Flatten", data="digits")


def test_dtype_policy_applies_and_is_restored():
    before = keras.config.dtype_policy().name
    model = build({"use": "Dense", "units": 2}, dtype_policy="mixed_bfloat16")
    assert layer(model, "Dense").compute_dtype == "bfloat16"
    assert keras.config.dtype_policy().name == before
    with pytest.raises(ConfigError):
        build({"use": "Reshape", "target_shape": [7]}, dtype_policy="float16")
    assert keras.config.dtype_policy().name == before


def test_compile_options_arrive():
    options = {"jit_compile": False, "steps_per_execution": 3, "run_eagerly": True}
    model = build("Flatten", compile=options)
    assert (model.jit_compile, model.steps_per_execution) == (False, 3)
    assert model.run_eagerly


def test_config_is_not_changed():
    config = {"model": [INPUT, {"use": "Dense", "units": 2}], "loss": "mse"}
    before = repr(config)
    keras_dlparts.build(config, ["model[1].units=3", "fit.epochs=2"])
    assert repr(config) == before


def test_tuples_are_lists():
    model = keras_dlparts.build({
        "model": ({"use": "Input", "shape": (8, 8, 1)},
                  {"use": "Conv2D", "filters": 2, "kernel_size": (3, 3)}),
        "loss": "mse",
    })  # fmt: skip
    assert model.output_shape == (None, 6, 6, 2)


@pytest.mark.parametrize("value", [keras.layers.Flatten, np.complex64(3), {3}, b"a"])
def test_dict_holds_plain_values_only(value):
    with pytest.raises(
        ConfigError, match=r"^model\[0\]\n  a config holds numbers, text"
    ):
        load({"model": [value], "loss": "mse"})


def test_an_object_that_cannot_be_copied_is_told_as_others_are():
    rows = (row for row in [1])  # as little as a tf.data.Dataset, it can be copied
    with pytest.raises(ConfigError, match=r"^data\n  generator: Data is read anew"):
        keras_dlparts.build({"data": rows, "model": ["Flatten"], "loss": "mse"})


def test_dict_that_holds_itself():
    config = {"loss": "mse"}
    config["model"] = [config]
    with pytest.raises(ConfigError, match="nested deeper than 40 levels"):
        load(config)


def test_neither_path_nor_dict():
    with pytest.raises(TypeError, match="a path or a dict"):
        load([])
