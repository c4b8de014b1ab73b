"""`--set path=value`: what it reaches, and what it refuses."""

import pytest

import keras_dlparts
from keras_dlparts.config import load
from keras_dlparts.config.errors import ConfigError

CONFIG = """\
data: digits
model:
  - {use: Dense, units: 3, activation: relu}
  - Flatten
optimizer: {use: Adam, learning_rate: {search: float, min: 1e-4, max: 1e-2}}
loss: mse
"""
BAD = {
    "epochs": "write --set path=value, as in optimizer.learning_rate=3e-4",
    "=3": "write --set path=value",
    "fit..epochs=3": "write --set path=value",
    "fit.epochs=[3": "not valid YAML: ",
    "fit.epochs=!!int 3x": "tags such as '!!int' are refused",
    f"seed={'9' * 5000}": "a number has less than 1000 digits",
    "seed=99999999999999999999": "a whole number of at most 64 bits is expected",
    "fit.epochs=many": "a whole number is expected. Received: 'many'",
    "fit.epoch=3": "unknown key 'epoch'; did you mean 'epochs'?",
    "model[2].units=3": "there is no item 2; the list has 2",
    "model[-1].units=3": "there is no item '-1'; the list has 2",
    "model.first.units=3": "there is no item 'first'; the list has 2",
    "model[0].units.max=3": "is a plain value, with nothing in it",
    "model[0].unit=3": "unknown argument of keras.Dense; did you mean 'units'?",
    "model[1].data_formt=a": "unknown argument of keras.Flatten; did you mean",
    "optimizer.learning_rate.max=1e-5": "must not exceed max. Received: 0.0001 > 1e-05",
    "optimizer.rate=3": "unknown argument of keras.Adam",
    "callbacks[0]={use: EarlyStopping}": "is no list yet. Give it whole: --set 'callb",
    "metrics[0].use=AUC": "is no list yet. Give it whole: --set 'metrics=[...]'",
    "data.use=digit": "did you mean 'dlparts.digits'?",
    "model=[]": "at least one layer is expected",
    "dlparts=2": "must be 1. Received: 2",
}


@pytest.mark.parametrize("text", BAD)
def test_is_refused(refused, text):
    (told,) = refused(CONFIG, "config.yaml", "--set", text).items()
    place, message = told
    assert BAD[text] in message
    if not text.startswith("optimizer.learning_rate"):  # told at min, in the file
        assert place.startswith(f"--set {text}"), place


def test_one_text_is_no_list_of_them():
    functions = keras_dlparts.train, keras_dlparts.build, keras_dlparts.search
    for function in functions:
        with pytest.raises(TypeError, match=r"sets='seed=2'. Write sets=\['seed=2'\]"):
            function({"model": ["Flatten"]}, "seed=2")


def test_several_are_all_told(refused):
    sets = ["--set", "fit.epochs=0", "--set", "seed=-1", "--set", "oops"]
    told = refused(CONFIG, "config.yaml", *sets)
    assert list(told) == ["--set oops"]
    told = refused(CONFIG, "config.yaml", *sets[:4])
    assert list(told) == ["--set fit.epochs=0  fit.epochs", "--set seed=-1  seed"]


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("model[0].units=1_0", ("model", 0, "units"), "1_0"),
        ("model[0].units=0x10", ("model", 0, "units"), 16),
        ("model.0.activation=tanh", ("model", 0, "activation"), "tanh"),
        ("model[1].name=flat", ("model", 1), {"use": "Flatten", "name": "flat"}),
        ("optimizer.learning_rate=3e-4", ("optimizer", "learning_rate"), 3e-4),
        ("optimizer=sgd", ("optimizer",), "sgd"),
        ("fit.epochs=3", ("fit", "epochs"), 3),
        ("data.batch_size=7", ("data",), {"use": "digits", "batch_size": 7}),
        ("metrics=[accuracy]", ("metrics",), ["accuracy"]),
        ("name=a=b", ("name",), "a=b"),
    ],
)
def test_reaches(tmp_path, text, path, value):
    from keras_dlparts.config.overrides import override
    from keras_dlparts.config.read import read

    (tmp_path / "config.yaml").write_text(CONFIG)
    document = read(tmp_path / "config.yaml")
    override(document, text)
    assert document.problems == []
    found = document.values
    for step in path:
        found = found[step]
    assert found == value


def test_default_part_gets_arguments():
    config = {"model": ["Flatten"], "loss": "mse"}
    experiment = load(config, ["optimizer.learning_rate=0.5"])
    assert experiment.optimizer.part.name == "keras.Adam"
    assert experiment.optimizer.arguments == {"learning_rate": 0.5}
    assert config == {"model": ["Flatten"], "loss": "mse"}


def test_last_override_wins():
    config = {"model": ["Flatten"], "loss": "mse"}
    assert load(config, ["seed=1", "seed=2"]).settings.seed == 2


def test_dict_has_no_file_to_name():
    with pytest.raises(ConfigError) as error:
        load({"model": ["Flaten"]}, ["seed=-1"])
    first, second = error.value.problems
    assert str(first).startswith("model[0]\n  unknown layer 'Flaten'\n")
    assert str(second).startswith("--set seed=-1  seed\n  must be greater than")
