"""Search spaces: what each is called, and what it takes without a search."""

import pytest

from keras_dlparts.config import load
from keras_dlparts.config.document import Document
from keras_dlparts.config.space import branch_labels, default_of, settle

INT = {"search": "int", "min": 3, "max": 9}


def settled(values, choose=default_of):
    """The plain values, and {name: chosen} of all that was asked for."""
    asked = {}

    def note(name, spec):
        assert name not in asked, f"{name} is asked for twice"
        asked[name] = choose(name, spec)
        return asked[name]

    document = settle(Document(values), note)
    assert document.problems == []
    return document.values, asked


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        (INT, 3),
        ({**INT, "default": 5}, 5),
        ({"search": "int", "min": 4, "max": 4}, 4),
        ({"search": "float", "min": 0, "max": 1, "step": 0.1}, 0.0),
        ({"search": "float", "min": 1e-4, "max": 1e-2, "scale": "log"}, 1e-4),
        ({"search": "choice", "values": ["relu", "tanh"]}, "relu"),
        ({"search": "choice", "values": [[3, 3], [5, 5]], "default": [5, 5]}, [5, 5]),
        ({"search": "choice", "values": [None, 1], "default": None}, None),
        ({"search": "bool"}, False),
        ({"search": "bool", "default": True}, True),
        ({"search": "one_of", "of": ["Flatten", "Dropout"]}, "Flatten"),
        ({"search": "one_of", "of": ["Flatten", "Dropout"], "default": "Dropout"},
         "Dropout"),
        ({"search": "one_of", "of": [{"use": "Dense", "units": INT}, "Flatten"]},
         {"use": "Dense", "units": 3}),
        ({"search": "one_of", "of": ["Add", {"use": "Add"}], "default": "Add#2"},
         {"use": "Add"}),
    ],
)  # fmt: skip
def test_without_a_search(spec, value):
    found = settled({"a": spec})[0]["a"]
    assert (found, type(found)) == (value, type(value))


def test_names_are_paths():
    values = {
        "optimizer": {"use": "Adam", "learning_rate": INT},
        "model": [
            {"use": "Dense", "units": INT},
            {"use": "X", "layer": {"units": INT}},
        ],
    }
    found, asked = settled(values)
    assert list(asked) == [
        "optimizer.learning_rate", "model[0].units", "model[1].layer.units"
    ]  # fmt: skip
    assert found["model"][1] == {"use": "X", "layer": {"units": 3}}


def test_names_hold_the_branch():
    """Both branches have a rate; each has a name of its own, nested ones too."""
    inner = {
        "search": "one_of",
        "of": [{"use": "A", "rate": INT}, {"use": "B", "rate": INT}],
    }
    outer = {"search": "one_of", "of": [inner, {"use": "A", "rate": INT}, [INT]]}
    names = set()
    for first in range(3):
        for second in range(2):
            choices = iter([first, second])

            def choose(name, spec, choices=choices):
                return next(choices) if spec["search"] == "one_of" else 3

            _, asked = settled({"model": [outer]}, choose)
            names |= set(asked)
    assert names == {
        "model[0]",
        "model[0].one_of",
        "model[0].one_of.A.rate",
        "model[0].one_of.B.rate",
        "model[0].A.rate",
        "model[0].list[0]",
    }


@pytest.mark.parametrize(
    ("options", "labels"),
    [
        (["A", {"use": "B", "x": 1}], ["A", "B"]),
        (["A", {"use": "A"}, "A"], ["A", "A#2", "A#3"]),
        ([["A", "B"], ["C"], {"search": "bool"}], ["list", "list#2", "bool"]),
        ([{"x": 1}, None], ["mapping", "None"]),
    ],
)
def test_branches_are_called_by_their_parts(options, labels):
    assert branch_labels(options) == labels


def test_names_of_repeated_layers():
    """A repetition's number is in the name; what follows keeps its own index."""
    values = {
        "model": [
            {"repeat": {**INT, "min": 2}, "of": [{"units": INT}, {"rate": INT}]},
            {"units": INT},
        ]
    }
    found, asked = settled(values, lambda name, spec: spec["min"])
    assert list(asked) == [
        "model[0].repeat",
        "model[0].repeat[0][0].units",
        "model[0].repeat[0][1].rate",
        "model[0].repeat[1][0].units",
        "model[0].repeat[1][1].rate",
        "model[1].units",
    ]
    assert found["model"] == [{"units": 3}, {"rate": 3}] * 2 + [{"units": 3}]
    _, more = settled(values, lambda name, spec: 9)
    assert set(asked) < set(more)


def test_repeats_of_repeats_and_of_branches():
    branch = {"search": "one_of", "of": [{"use": "A", "x": INT}, "B"]}
    values = {"model": [{"repeat": 2, "of": [{"repeat": 2, "of": [branch]}, "C"]}]}
    found, asked = settled(values)
    assert found["model"] == [*[{"use": "A", "x": 3}] * 2, "C"] * 2
    assert len(asked) == 8
    assert "model[0].repeat[1][0].repeat[0][0].A.x" in asked


def test_repeated_none_at_all():
    assert settled({"model": [{"repeat": 0, "of": ["A"]}, "B"]})[0] == {"model": ["B"]}


def test_chosen_values_reach_the_parts():
    values = {"search": "float", "min": 0.1, "max": 0.9, "default": 0.5}
    config = {"model": [{"use": "Dropout", "rate": values}], "loss": "mse"}
    assert load(config).model[0].arguments == {"rate": 0.5}
    chosen = load(config, choose=lambda name, spec: {"model[0].rate": 0.7}[name])
    assert chosen.model[0].arguments == {"rate": 0.7}
