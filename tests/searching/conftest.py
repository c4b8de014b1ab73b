"""A small search that each test may ask for, and what trains in a moment."""

import copy

import pytest
from helpers.searches import CONFIG


@pytest.fixture
def config():
    return copy.deepcopy(CONFIG)


@pytest.fixture(scope="session")
def found(tmp_path_factory):
    """A finished search of ten trials; look, do not touch."""
    from keras_dlparts import search

    short = {**copy.deepcopy(CONFIG), "fit": {"epochs": 1}}
    return search(short, out=tmp_path_factory.mktemp("s") / "small", trials=10)
