"""Slips that have a likely meaning are told with it, and all mistakes at once."""

import keras
import pytest

import keras_dlparts
from keras_dlparts.config.branches import check_config
from keras_dlparts.config.logits import logits_note

# name: ({"line:column  path": a phrase of the message}, the file).
SLIPS = {
    "keys that stand in another section": (
        {
            "2:7  fit.batch_size": "it stands in `data:`, as `batch_size:`",
            "2:23  fit.validation_split": "it stands in `data:`, as `validation_s",
            "2:46  fit.callbacks": "it stands at the top, as `callbacks:`",
            "2:61  fit.lr": "it stands in `optimizer:`, as `learning_rate:`",
            "3:1  epochs": "it stands in `fit:`, as `epochs:`",
            "4:1  batch_size": "it stands in `data:`, as `batch_size:`",
            "5:1  learning_rate": "it stands in `optimizer:`, as `learning_rate:`",
            "6:11  compile.loss": "it stands at the top, as `loss:`",
            "7:1  monitor": "it stands in `best:`, as `monitor:`",
        },
        """\
model: [Flatten]
fit: {batch_size: 32, validation_split: 0.1, callbacks: [], lr: 1}
epochs: 3
batch_size: 32
learning_rate: 0.1
compile: {loss: mse}
monitor: loss
""",
    ),
    "short names of arguments": (
        {
            "2:24  optimizer.lr": "did you mean 'learning_rate'?",
            "2:33  optimizer.wd": "did you mean 'weight_decay'?",
        },
        "model: [Flatten]\noptimizer: {use: Adam, lr: 0.1, wd: 0.1}\n",
    ),
    "parts named as other config languages do": (
        {
            "2:5  model[0]": "Is it {use: Dropout, ...}?",
            "3:5  model[1]": "Is it {use: Flatten}?",
            "4:5  model[2]": "Is it {use: Dense, units: 10}?",
            "5:5  model[3]": "Is it Flatten?",
            "6:5  model[4]": "Is it {use: Activation, activation: 'relu'}?",
            "7:5  model[5]": "`use:` is missing\n",
            "8:50  model[6].kernel_regularizer": "Is it {use: L2, ...}?",
            "9:12  optimizer": "Is it {use: Adam, ...}?",
            "10:7  loss": "Is it {use: mse}?",
        },
        """\
model:
  - {type: Dropout, rate: 0.5}
  - {class_name: Flatten}
  - Dense: 10
  - Flatten:
  - Activation: relu
  - Dence: 10
  - {use: Dense, units: 1, kernel_regularizer:   {type: L2, l2: 0.1}}
optimizer: {name: Adam, learning_rate: 0.1}
loss: {type: mse}
""",
    ),
    "what the constructors refuse, beside data that is not there": (
        {
            "1:24  data.path": "which is not there",
            "2:29  model[0].units": "units=-3",
            "3:53  optimizer.momentum": "momentum",
        },
        """\
data: {use: npz, path: none.npz}
model: [{use: Dense, units: -3}, {use: Dense, units: 1}]
optimizer: {use: SGD, learning_rate: 0.1, momentum: 7}
loss: mse
""",
    ),
    "data that is not there, beside a typo": (
        {
            "1:24  data.path": "which is not there",
            "2:15  model[0].use": "keras.Dense needs `units:`",
            "2:22  model[0].unit": "did you mean",
        },
        "data: {use: npz, path: none.npz}\nmodel: [{use: Dense, unit: 3}]\n",
    ),
    "a model that does not connect, beside a wrong optimizer": (
        {"2:9  model[0]": "Reshape", "3:53  optimizer.momentum": "momentum"},
        """\
data: {use: spirals, samples: 40}
model: [{use: Reshape, target_shape: [5]}, {use: Dense, units: 2}]
optimizer: {use: SGD, learning_rate: 0.1, momentum: 7}
loss: mse
""",
    ),
}


@pytest.mark.parametrize("case", SLIPS)
def test_is_told(assert_told, case):
    assert_told(*SLIPS[case])


def model_of(activation, loss, units=2):
    last = {"use": "Dense", "units": units, "activation": activation}
    return {
        "data": {"use": "spirals", "samples": 40},
        "model": [{"use": "Dense", "units": 3}, last],
        "loss": loss,
    }


def crossentropy(kind="SparseCategorical", **options):
    return {"use": f"{kind}Crossentropy", **options}


@pytest.mark.parametrize(
    ("config", "phrase"),
    [
        (
            model_of(None, crossentropy()),
            "Give the loss `from_logits: true`, or end the",
        ),
        (model_of("softmax", crossentropy(from_logits=True)), "ends in softmax, and"),
        (
            model_of("sigmoid", crossentropy("Binary", from_logits=True), units=1),
            "ends in sigmoid, and with `from_logits: true` the loss takes what",
        ),
        (
            model_of(None, crossentropy("Binary"), units=1),
            "or end the model in sigmoid",
        ),
        (model_of("softmax", crossentropy()), None),
        (model_of(None, crossentropy(from_logits=True)), None),
        (model_of("relu", crossentropy(from_logits=True)), None),
        (model_of(None, "mse", units=1), None),
    ],
)
def test_logits_and_probabilities(config, phrase):
    made, _ = check_config(config)
    notes = list(map(str, made.notes))
    if phrase is None:
        assert notes == []
    else:
        (note,) = notes
        assert note.startswith("loss\n  note: the model ends in ")
        assert phrase in note


class Own(keras.Model):
    """A model of which no layer is known to be the last."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, x):
        return self.function(x)


@pytest.mark.parametrize(
    ("function", "noted"),
    [(keras.ops.softmax, {True}), (keras.ops.negative, {False}), (abs, set())],
)
def test_what_a_model_of_its_own_gives_is_looked_at(function, noted):
    x = keras.ops.convert_to_tensor([[0.1, 0.2], [0.3, 0.1]])
    for from_logits in (True, False):
        model = Own(function)
        loss = keras.losses.CategoricalCrossentropy(from_logits=from_logits)
        model.compile(loss=loss)
        assert bool(logits_note(model, model(x))) is (from_logits in noted)


def test_the_note_is_no_error_and_has_its_place(dlparts, tmp_path):
    (tmp_path / "a.yaml").write_text(
        "data: {use: spirals, samples: 40}\nmodel: [{use: Dense, units: 2}]\n"
        "loss: SparseCategoricalCrossentropy\n"
    )
    code, out, err = dlparts("check", "a.yaml")
    assert (code, out) == (0, "a.yaml is good: a model of 6 parameters\n")
    assert err.startswith("a.yaml:3:7  loss\n  note: the model ends in no activation")


@pytest.mark.long
def test_training_says_the_note(said, tmp_path):
    config = model_of(None, crossentropy()) | {"fit": {"epochs": 1}}
    keras_dlparts.train(config, out=tmp_path)
    assert "note: the model ends in no activation" in said[0]


def test_whole_numbers_are_floats_too():
    check_config({
        "data": {"use": "spirals", "samples": 40, "noise": 0},
        "model": [
            {"use": "GaussianNoise", "stddev": 1},
            {"use": "Dropout", "rate": 0},
            {"use": "RandomDropout", "rate": 0},
            {"use": "Rescaling", "scale": 2},
            {"use": "LeakyReLU", "negative_slope": 1},
            {"use": "BatchNormalization", "momentum": 1, "epsilon": 1},
            {"use": "Dense", "units": 2, "kernel_regularizer": {"use": "L2", "l2": 1}},
        ],
        "optimizer": {
            "use": "Clipped",
            "optimizer": {"use": "Adam", "learning_rate": 1, "epsilon": 1},
            "by": {"use": "FixedNorm", "threshold": 1},
        },
        "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
        "callbacks": [{"use": "EarlyStopping", "min_delta": 1}],
        "fit": {"class_weight": {"0": 1, "1": 2}},
        "pretrain": {"learning_rate": 1, "momentum": 0},
    })  # fmt: skip
