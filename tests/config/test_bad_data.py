"""What all data sources take, in a config: each mistake told at its place."""

import pytest
import yaml

from keras_dlparts import ConfigError
from keras_dlparts.config import load
from keras_dlparts.config.assemble import assemble

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
