"""What all data sources take, in a config: each mistake told at its place."""

from pathlib import Path

import keras
import numpy as np
import pytest
import yaml

from keras_dlparts import ConfigError
from keras_dlparts.config import load
from keras_dlparts.config.assemble import assemble
from keras_dlparts.config.objects import OwnData

CASES = {
    "samples: many": ("samples", "a whole number or nothing (null) is expected|number"),
    "samples: 0": ("samples", "at least 1. Received: samples=0"),
    "samples: 9999": ("samples", "at most the 1500 training samples"),
    "samples: 9, balanced: true": ("samples", "one for each of the 10 classes"),
    "balanced: true": ("balanced", "Say how many"),
    "binarize: twice": ("binarize", "'once', 'anew'"),
    "validation: train": ("validation", "'test'"),
    "transform: RandomFlipp": ("transform", "did you mean 'keras.RandomFlip'"),
    "transform: 3": ("transform", "a layer or a list of layers"),
    "transform: [{use: RandomZoom, height_factor: up}]": (
        "transform[0].height_factor",
        "",
    ),
    "transform: [{use: Dense, units: 3}]": ("transform", "nothing to learn"),
    "transform: RandomFlip": ("transform", "Expected image tensor to have rank 3"),
    "transform: {use: Rescaling, scale: 2}": ("transform", "training data only"),
    "transform: [{use: RandomCrop, height: 4, width: 4}], flatten: false": (
        "transform",
        "keep the shape and the dtype of the samples",
    ),
    "transform: [MixUp], flatten: false": ("transform", "one-hot targets"),
}


@pytest.mark.parametrize("text", CASES)
def test_a_mistake_is_told_at_its_place(text):
    place, message = CASES[text]
    values = yaml.safe_load(f"data: {{use: digits, {text}}}\nloss: mse")
    values["model"] = ["Flatten", {"use": "Dense", "units": 10}]
    with pytest.raises(ConfigError) as caught:
        assemble(load(values))
    (problem,) = caught.value.problems
    assert problem.path == f"data.{place}"
    assert any(words in problem.message for words in message.split("|")), problem


def test_binary_values_need_a_scale(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,c\n" + "2,0\n3,1\n" * 5)
    for word in ("once", "anew"):
        data = {"use": "csv", "path": str(path), "target": "c", "binarize": word}
        model = [{"use": "Dense", "units": 1}]
        with pytest.raises(ConfigError, match=r"data.binarize\n.*2.0 to 3.0. Scale"):
            assemble(load({"data": data, "model": model, "loss": "mse"}))


SPARSE = {"use": "SparseCategoricalCrossentropy", "from_logits": True}


def of_labels(tmp_path, labels, loss=SPARSE, outputs=2):
    """The config of a table with these labels, read a row at a time."""
    path = tmp_path / "a.csv"
    rows = "".join(f"{i}.5,{label}\n" for i, label in enumerate(labels))
    path.write_text(f"a,c\n{rows}")
    data = {"use": "csv", "path": str(path), "target": "c", "batch_size": 1}
    model = [{"use": "Dense", "units": outputs}]
    return {"data": data | {"validation_split": 0.2}, "model": model, "loss": loss}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        # Whichever is in the first batch, or to validate on.
        ([0, 1, 1, 1, 1, 2], "the label 2, but the model ends in 2 outputs; .* so 3"),
        ([2, 1, 1, 1, 1, 0], "the label 2, but the model ends in 2 outputs; .* so 3"),
        ([1, -1, 1, -1, 1], "the label -1, and classes count from 0: .* 0 to 1"),
        ([0.0, 1.0, 1.0, 0.25, 1.0], "the target 0.25, and this loss takes"),
    ],
)
def test_labels_that_are_no_classes_of_the_model(tmp_path, labels, message):
    with pytest.raises(ConfigError, match=f"(?s)loss.*{message}"):
        assemble(load(of_labels(tmp_path, labels)))


def test_a_label_that_the_loss_ignores_needs_no_output(tmp_path):
    ignoring = SPARSE | {"ignore_class": 255}
    assemble(load(of_labels(tmp_path, [0, 1, 255, 1, 0], ignoring)))
    assemble(load(of_labels(tmp_path, [0.0, 1.0, 1.5, 1, 0], "mse", outputs=1)))


def test_labels_of_a_model_that_was_compiled_by_the_user():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = np.zeros((40, 1)), np.array([0, 1] * 19 + [1, 2])
    with pytest.raises(ConfigError, match="the label 2, but the model ends in 2"):
        assemble(load({}, beside={"model": model, "data": OwnData((x, y))}))


@pytest.mark.parametrize("samples", [10, 2])
def test_targets_do_not_fit_by_the_number_of_rows(tmp_path, samples):
    # Targets (2,) would go with predictions (2, 2), were two rows tried.
    config = of_labels(tmp_path, [0, 1] * (samples // 2), "mse")
    config["data"] |= {"batch_size": 32, "validation_split": 0}
    with pytest.raises(ConfigError, match=r"predictions \(3, 2\), targets \(3,\)"):
        assemble(load(config))


def test_a_data_section_of_a_dict_may_hold_objects(tmp_path):
    config = of_labels(tmp_path, [0, 1] * 5)
    noise = keras.layers.GaussianNoise(1.0)
    config["data"] |= {
        "path": Path(config["data"]["path"]),
        "batch_size": np.int64(4),
        "validation_split": np.float64(0.5),
        "transform": [noise],
    }
    experiment = load(config)
    data = assemble(experiment).data
    assert (data.batch_size, len(data.validation.rows)) == (4, 5)
    assert data._transform == [noise]
    # What a run writes down of it is read again.
    resolved = yaml.safe_load(yaml.safe_dump(experiment.resolved()))
    assert resolved["data"]["path"] == str(tmp_path / "a.csv")
    assert type(resolved["data"]["validation_split"]) is float
