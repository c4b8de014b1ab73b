"""Bad configs: names of parts, their arguments, and what constructors refuse."""

import pytest

from keras_dlparts import registry

BAD = {
    "typos in the names of parts": (
        {
            "1:7  data": "did you mean 'dlparts.digits'?   (all: dlparts list data)",
            "3:11  model[0].use": "unknown layer 'Dens'\ndid you mean 'keras.Dense'?",
            "4:5  model[1]": "did you mean 'dlparts.RandomDropout'",
            "5:12  optimizer": "did you mean 'keras.Adam'",
            "6:7  loss": "did you mean 'keras.SparseCategoricalCrossentropy'",
            "7:11  metrics[0]": "did you mean 'accuracy'?",
            "8:19  callbacks[0].use": "did you mean 'keras.EarlyStopping'?",
        },
        """\
data: digit
model:
  - {use: Dens, units: 3}
  - randomdropot
optimizer: Adm
loss: SparseCategoricalCrosentropy
metrics: [acuracy]
callbacks: [{use: EarlyStoping}]
""",
    ),
    "typos in arguments": (
        {
            "1:21  data.batchsize": "unknown argument of dlparts.digits; did you mean "
            "'batch_size'?",
            "2:15  model[0].use": "keras.Dense needs `units:`",
            "2:22  model[0].unit": "unknown argument of keras.Dense; did you mean",
            "3:48  metrics[0].K": "accepted: dtype, from_sorted_ids, k, name",
        },
        """\
data: {use: digits, batchsize: 3}
model: [{use: Dense, unit: 3}]
metrics: [{use: SparseTopKCategoricalAccuracy, K: 3}]
""",
    ),
    "typos in nested parts": (
        {
            "5:35  model[0].kernel_regularizer.l3": "unknown argument of keras.L2; acc",
            "6:29  model[0].bias_regularizer.use": "did you mean 'keras.L2'?",
            "8:18  model[1].layer.use": "keras.LSTM needs `units:`\n",
            "8:24  model[1].layer.unit": "did you mean 'units'?",
            "11:24  optimizer.learning_rate.use": "keras.CosineDecay needs",
            "11:63  optimizer.learning_rate.decay_step": "did you mean 'decay_steps'?",
        },
        """\
data: digits
model:
  - use: Dense
    units: 10
    kernel_regularizer: {use: L2, l3: 1}
    bias_regularizer: {use: L22}
  - use: Bidirectional
    layer: {use: LSTM, unit: 3}
optimizer:
  use: Adam
  learning_rate: {use: CosineDecay, initial_learning_rate: 1, decay_step: 3}
""",
    ),
    "typos in words that Keras reads": (
        {
            "3:40  model[0].activation": "identifier: rellu; did you mean 'relu'?",
            "4:48  model[1].kernel_initializer": "did you mean 'he_normal'?",
            "5:48  model[2].kernel_regularizer": "accepted: l1, l1_l2, l2, orthogonal_",
        },
        """\
data: digits
model:
  - {use: Dense, units: 3, activation: rellu}
  - {use: Dense, units: 3, kernel_initializer: he_norml}
  - {use: Dense, units: 3, kernel_regularizer: l3}
""",
    ),
    "parts of another kind": (
        {
            "1:9  model[0]": "unknown layer 'Adam'; it is one of the optimizers",
            "2:12  optimizer": "unknown optimizer 'Dense'; it is one of the layers",
            "3:7  loss": "unknown loss 'accuracy'; it is one of the metrics",
            "4:16  metrics[1]": "it is one of the callbacks",
            "5:13  callbacks[0]": "it is one of the data",
        },
        """\
model: [Adam]
optimizer: Dense
loss: accuracy
metrics: [mse, EarlyStopping]
callbacks: [digits]
""",
    ),
    "a part of another kind as an argument": (
        {"1:58  model[0].kernel_initializer.use": "it is one of the regularizers"},
        "model: [{use: Dense, units: 3, kernel_initializer: {use: L2}}]\n",
    ),
    "import paths": (
        {
            "2:11  model[0].use": "unknown layer 'os.system'; a part is named",
            "3:11  model[1].use": "an import path is not accepted\n"
            "did you mean 'keras.Dense'?",
            "4:5  model[2]": "did you mean 'keras.Dense'?",
        },
        """\
model:
  - {use: os.system, command: ls}
  - {use: keras.src.layers.Dense, units: 3}
  - tensorflow.keras.layers.Dense
""",
    ),
    "parts that run a file's code": (
        {
            "2:11  model[0].use": "'Lambda' runs code that comes from a file",
            "3:5  model[1]": "'keras.TFSMLayer' runs code",
            "4:13  callbacks[0]": "'LambdaCallback' runs code",
        },
        """\
model:
  - {use: Lambda, function: print}
  - keras.TFSMLayer
callbacks: [LambdaCallback]
""",
    ),
    "base classes": (
        {"1:9  model[0]": "unknown layer 'Layer'   (all: dlparts list layers)\n"},
        "model: [Layer]\n",
    ),
    "names that are no text": (
        {
            "2:11  model[0].use": "a part's name must be text. Received: 3",
            "3:11  model[1].use": "must be text. Received: ['Dense']",
            "4:11  model[2].use": "must be text. Received: None",
            "5:11  model[3].use": "unknown layer ''",
        },
        "model:\n  - {use: 3}\n  - {use: [Dense]}\n  - {use: null}\n  - {use: ''}\n",
    ),
    "no parts": (
        {
            "1:7  data": "a data source is expected: its name, or {use: name, argument",
            "3:5  model[0]": "a layer is expected: its name, or {use: name, argument: ",
            "4:5  model[1]": "Received: 3",
            "5:5  model[2]": "Received: ['Dense']",
            "6:4  model[3]": "nothing is given",
            "7:5  model[4]": "Is it {use: Dense, ...}?",
            "8:7  loss": "a loss is expected: its name, or {use: name, argument: value",
            "9:12  optimizer": "an optimizer is expected: its name",
            "10:11  metrics[0]": "a metric is expected: its name",
        },
        """\
data: [digits]
model:
  - {units: 3, activation: relu}
  - 3
  - [Dense]
  -
  - Dense: {units: 3}
loss: 5
optimizer: [Adam]
metrics: [3]
""",
    ),
    "a layer for a model": (
        {"1:14  model.use": "it is one of the layers; layers stand in a list"},
        "model: {use: Dense, units: 3}\n",
    ),
    "a number for a model": (
        {"1:8  model": "a list of layers, or the name of a model, is expected"},
        "model: 3\n",
    ),
    "missing arguments": (
        {
            "1:7  data": "dlparts.npz needs `path:`",
            "2:9  model[0]": "keras.Dense needs `units:`",
            "2:22  model[1].use": "keras.Conv2D needs `kernel_size:`\n",
            "2:43  model[2]": "keras.Bidirectional needs `layer:`",
            "3:13  callbacks[0]": "keras.ModelCheckpoint needs `filepath:`",
        },
        """\
data: npz
model: [Dense, {use: Conv2D, filters: 3}, Bidirectional]
callbacks: [ModelCheckpoint]
""",
    ),
    "quoted numbers": (
        {
            "2:25  model[0].units": "expected a positive integer. Received: units=10;",
            "3:26  model[1].rate": "write it without quotes",
            "4:39  optimizer.learning_rate": "a number is expected; write it without q",
            "5:44  callbacks[0].patience": "a number is expected. Received: 'many'",
        },
        """\
model:
  - {use: Dense, units: "10"}
  - {use: Dropout, rate: "0.5"}
optimizer: {use: Adam, learning_rate: "1e-3"}
callbacks: [{use: EarlyStopping, patience: many}]
""",
    ),
    "values of another type": (
        {
            "2:26  model[0].rate": "a finite number is expected. Received: nan",
            "3:26  model[1].rate": "a number is expected; a part is {use: ...}, a "
            "searched value {search: ...}. Received: {'serch': 'float'}",
            "4:38  model[2].use_bias": "true or false is expected (YAML 1.2 reads yes",
            "5:57  model[3].kernel_initializer": "text or an initializer is expected. "
            "Received: 3",
            "6:44  model[4].cells": "a list of layers is expected. Received: 5",
            "7:45  model[5].cells[1]": "a layer is expected. Received: 7",
            "8:38  optimizer.learning_rate": "a finite number is expected",
            "9:58  callbacks[0].patience": "a finite number is expected. Received: inf",
        },
        """\
model:
  - {use: Dropout, rate: .nan}
  - {use: Dropout, rate: {serch: float}}
  - {use: Dense, units: 3, use_bias: yes}
  - {use: Dense, units: 3, name: a, kernel_initializer: 3}
  - {use: StackedRNNCells, name: b, cells: 5}
  - {use: StackedRNNCells, cells: [Flatten, 7]}
optimizer: {use: SGD, learning_rate: .inf}
callbacks: [{use: EarlyStopping, min_delta: 1, patience: .inf}]
""",
    ),
    "rates that do not train": (
        {"2:39  optimizer.learning_rate": "a number above 0 is expected. Received: -1"},
        "model: [Flatten]\noptimizer: {use: Adam, learning_rate: -1}\n",
    ),
    "schedules' rates": (
        {
            "4:65  optimizer.learning_rate.initial_learning_rate": "a number above 0 "
            "is expected. Received: 0",
        },
        """\
model: [Flatten]
optimizer:
  use: Adam
  learning_rate: {use: ExponentialDecay, initial_learning_rate: 0, decay_steps: 3,
    decay_rate: 0.5}
""",
    ),
    "nested parts that do not fit": (
        {
            "2:5  model[0]": "Unrecognized keyword arguments passed to Dense:",
            "3:35  model[1].layer": "a layer is expected. Received: 3",
            "4:7  loss": "unknown loss 'nothing'",
        },
        """\
model:
  - {use: Bidirectional, layer: {use: Dense, units: 3}}
  - {use: TimeDistributed, layer: 3}
loss: nothing
""",
    ),
}
# What only a constructor knows is told beside a problem, and alone.
OUT_OF_RANGE = """\
data: {use: digits, validation_split: 1}
model:
  - {use: Dense, units: -1}
  - {use: Dropout, rate: 1.5}
  - {use: RandomDropout, rate: 1}
  - {use: Dense, units: [10]}
  - {use: Dense, units: 3, name: a/b}
"""
TOLD = {
    "1:39  data.validation_split": "at least 0, less than 1. Received",
    "3:25  model[0].units": "keras.Dense: Received an invalid value for `units`",
    "4:26  model[1].rate": "Expected a float value between 0 and 1",
    "5:32  model[2].rate": "must satisfy 0 <= rate < 1",
    "6:25  model[3].units": "Received: units=[10]",
    "7:34  model[4].name": "cannot contain character `/`",
}


@pytest.mark.parametrize("case", BAD)
def test_is_refused(assert_told, case):
    assert_told(*BAD[case])


def test_constructors_are_asked_though_something_else_is_wrong(assert_told):
    assert_told(TOLD | {"8:1  sed": "unknown key"}, OUT_OF_RANGE + "sed: 3\n")


def test_constructors_of_data_and_model_are_asked_at_once(assert_told):
    (_, *layers) = TOLD.items()
    assert_told(TOLD, OUT_OF_RANGE)
    good = OUT_OF_RANGE.replace("split: 1}", "split: 0}")
    assert_told(dict(layers), good)


def test_ambiguous_name_and_a_name_claimed_twice(assert_told, tmp_path, monkeypatch):
    """Three distributions, as an installer would leave them."""
    for name, part in {"one": "a.Gate", "two": "b.Gate", "three": "a.Gate"}.items():
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n")
        entry = f"[keras_dlparts.layers]\n{part} = keras.layers:Dense\n"
        (folder / "entry_points.txt").write_text(entry)
    monkeypatch.syspath_prepend(tmp_path)
    registry._entries.cache_clear()
    try:
        expected = {
            "2:5  model[0]": "'Gate' is ambiguous; say which: a.Gate, b.Gate",
            "3:5  model[1]": "'a.Gate' is claimed by one 1.0 and three 1.0",
        }
        assert_told(expected, "model:\n  - Gate\n  - a.Gate\n")
    finally:
        registry._entries.cache_clear()
