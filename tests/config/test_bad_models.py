"""Bad configs: layers that do not connect, shapes and data that do not fit."""

import numpy as np
import pytest

# Each is a whole model; the data is digits, of shape (64,), the classes 0 to 9.
LAYERS = {
    "from a later layer": (
        {"3:34  model[0].from": "no earlier layer is named 'b'; accepted: input"},
        "{use: Dense, units: 3, from: b}",
        "{use: Dense, units: 3, name: b}",
    ),
    "from a misspelt layer": (
        {"5:22  model[2].from": "no earlier layer is named 'rigth'; did you mean 'rig"},
        "{use: Dense, units: 3, name: left}",
        "{use: Dense, units: 3, name: right, from: input}",
        "{use: Add, from: [left, rigth]}",
    ),
    "from a number": (
        {"3:34  model[0].from": "no earlier layer is named 3; accepted: input"},
        "{use: Dense, units: 3, from: 3}",
    ),
    "from a mapping": (
        {"3:34  model[0].from": "no earlier layer is named {'a': 'input'}"},
        "{use: Dense, units: 3, from: {a: input}}",
    ),
    "from an empty list": (
        {"3:22  model[0].from": "the name of an earlier layer is expected, or a list"},
        "{use: Add, from: []}",
    ),
    "from nothing": (
        {"3:33  model[0].from": "the name of an earlier layer is expected, or a list"},
        "{use: Dense, units: 3, from:}",
    ),
    "from in a nested part": (
        {"3:58  model[0].layer.from": "unknown argument of keras.Dense"},
        "{use: TimeDistributed, layer: {use: Dense, units: 3, from: input}}",
    ),
    "an output that is not used": (
        {"3:5  model[0]": "give it a `name:` and put that into a later layer's"},
        "{use: Dense, units: 3, name: a}",
        "{use: Dense, units: 3, from: input}",
    ),
    "one name for two layers": (
        {"4:34  model[1].name": "another layer, or the input, has the name 'a'"},
        "{use: Dense, units: 3, name: a}",
        "{use: Dense, units: 3, name: a}",
    ),
    "the input's name for a layer": (
        {"3:34  model[0].name": "another layer, or the input, has the name 'input'"},
        "{use: Dense, units: 3, name: input}",
    ),
    "a second Input": (
        {"4:5  model[1]": "an Input can only be the first layer"},
        "{use: Dense, units: 3}",
        "{use: Input, shape: [3]}",
    ),
    "an Input of another shape than the data": (
        {"3:3  model": "expected shape=(None, 3), found shape=(2, 64)"},
        "{use: Input, shape: [3]}",
        "{use: Dense, units: 3}",
    ),
    "a wrong reshape": (
        {"3:5  model[0]": "keras.Reshape cannot take an input of shape (None, 64):"},
        "{use: Reshape, target_shape: [7, 7]}",
        "{use: Dense, units: 3}",
    ),
    "a convolution of flat data": (
        {"3:5  model[0]": "expected min_ndim=4, found ndim=2"},
        "{use: Conv2D, filters: 3, kernel_size: 3}",
    ),
    "a sum of two widths": (
        {"5:5  model[2]": "cannot take an input of shape [(None, 3), (None, 4)]"},
        "{use: Dense, units: 3, name: a}",
        "{use: Dense, units: 4, name: b, from: input}",
        "{use: Add, from: [a, b]}",
    ),
    "a sum of one": (
        {"3:5  model[0]": "should be called on a list of inputs"},
        "Add",
    ),
}
FIT = {
    "labels beyond the outputs": (
        {"3:7  loss": "the data has the label 9, but the model ends in 5 outputs;"},
        "data: digits\nmodel: [{use: Dense, units: 5}]\n"
        "loss: {use: SparseCategoricalCrossentropy, from_logits: true}\n",
    ),
    "a loss of other shapes": (
        {"3:7  loss": "(predictions (2, 10), targets (2,), for two rows): "},
        "data: digits\nmodel: [{use: Dense, units: 10}]\n"
        "loss: CategoricalCrossentropy\n",
    ),
    "a loss that cannot subtract": (
        {"3:7  loss": "(predictions (2, 10), targets (2,), for two rows): "},
        "data: digits\nmodel: [{use: Dense, units: 10}]\nloss: mse\n",
    ),
    "several outputs": (
        {"5:7  loss": "(predictions ((2, 3), (2, 3), (2, 3)), targets (2,)"},
        """\
data: {use: digits, flatten: false}
model:
  - {use: Reshape, target_shape: [8, 8]}
  - {use: LSTM, units: 3, return_state: true}
loss: {use: SparseCategoricalCrossentropy, from_logits: true}
""",
    ),
    "a metric of other shapes": (
        {"4:10  metrics": "does not fit the data (predictions (2, 10), targets (2,)"},
        "data: digits\nmodel: [{use: Dense, units: 10}]\n"
        "loss: {use: SparseCategoricalCrossentropy, from_logits: true}\n"
        "metrics: [CosineSimilarity, MeanIoU2]\n".replace("MeanIoU2", "R2Score"),
    ),
    "no loss": (
        {"1:1": "`loss:` is missing, and no layer adds a loss"},
        "data: digits\nmodel: [Flatten]\n",
    ),
    "no file of data": (
        {"1:24  data.path": "/no.npz, which is not there"},
        "data: {use: npz, path: no.npz}\nmodel: [Flatten]\nloss: mse\n",
    ),
    "neither data nor Input": (
        {"1:9  model[0]": "the input's shape is unknown: give `data:`, or `{use:"},
        "model: [Flatten]\nloss: mse\n",
    ),
    "a shape that is none": (
        {"1:9  model[0]": "keras.Input: Cannot convert"},
        "model: [{use: Input, shape: {a: 3}}]\nloss: mse\n",
    ),
}


@pytest.mark.parametrize("case", LAYERS)
def test_model_is_refused(assert_told, case):
    told, *layers = LAYERS[case]
    model = "".join(f"  - {layer}\n" for layer in layers)
    assert_told(told, f"data: digits\nmodel:\n{model}loss: mse\n")


@pytest.mark.parametrize("case", FIT)
def test_what_does_not_fit_is_refused(assert_told, case):
    assert_told(*FIT[case])


def test_metrics_without_targets(assert_told, tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones((9, 3), "float32"))
    text = """\
data: {use: npz, path: a.npz, y: null}
model: [{use: ActivityRegularization, l2: 0.1}]
metrics: [mse]
"""
    told = {"3:10  metrics": "(predictions (2, 3), targets None, for two rows): "}
    assert_told(told, text)
    text = text.replace("metrics: [mse]", "loss: mse")
    assert_told({"3:7  loss": "the data has no targets for a loss to compare"}, text)
