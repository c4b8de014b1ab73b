"""A small search that each test may ask for, and what trains in a moment."""

import copy

import pytest

CONFIG = {
    "data": {"use": "spirals", "samples": 60},
    "model": [
        {
            "search": "one_of",
            "of": [
                {"use": "Dense", "units": {"search": "int", "min": 2, "max": 9}},
                {
                    "use": "RandomDropout",
                    "rate": {"search": "float", "min": 0.0, "max": 0.5},
                },
            ],
        },
        {"use": "Dense", "units": 2},
    ],
    "optimizer": {
        "use": "Adam",
        "learning_rate": {
            "search": "float",
            "min": 1e-4,
            "max": 1e-1,
            "scale": "log",
            "default": 1e-3,
        },
    },
    "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
    "metrics": ["accuracy"],
    "fit": {"epochs": 2},
    # Two steps an epoch: tracing would take longer than training.
    "compile": {"run_eagerly": True},
}


@pytest.fixture
def config():
    return copy.deepcopy(CONFIG)


@pytest.fixture(scope="session")
def found(tmp_path_factory):
    """A finished search of ten trials; look, do not touch."""
    from keras_dlparts import search

    short = {**copy.deepcopy(CONFIG), "fit": {"epochs": 1}}
    return search(short, out=tmp_path_factory.mktemp("s") / "small", trials=10)
