"""Bad configs: search spaces and repeats."""

import pytest

from keras_dlparts.config.branches import check_config
from keras_dlparts.config.errors import ConfigError

RANGES = {
    "{search: int, min: 9, max: 3}": {
        "min": "min must not exceed max. Received: 9 > 3"
    },
    "{search: int, min: 0, max: 9, scale: log}": {
        "min": "scale: log needs min > 0. Rec"
    },
    "{search: int, min: 1}": {"": "`search: int` needs max"},
    "{search: int}": {"": "`search: int` needs min and max"},
    "{search: int, min: 1.5, max: many}": {
        "min": "a whole number is expected. Received: 1.5",
        "max": "a whole number is expected. Received: 'many'",
    },
    "{search: float, min: .nan, max: .inf}": {
        "min": "a finite number is expected. Received: nan",
        "max": "a finite number is expected. Received: inf",
    },
    "{search: int, min: true, max: 3}": {"min": "Received: true"},
    "{search: int, min: 1, max: 9, default: 10}": {"default": "must lie within [1, 9]"},
    "{search: int, min: 1, max: 9, default: 0}": {"default": "must lie within [1, 9]"},
    "{search: int, min: 1, max: 9, step: 0}": {"step": "must be above 0. Received: 0"},
    "{search: int, min: 1, max: 9, scale: exp}": {"scale": "accepted: linear, log"},
    "{search: int, mn: 1, max: 9}": {
        "": "needs min",
        "mn": "unknown key 'mn' of `search: int`; did you mean 'min'?",
    },
    "{search: integer, min: 1}": {
        "search": "unknown kind of search 'integer'; accepted"
    },
    "{search: [int], min: 1}": {
        "search": "unknown kind of search ['int']; did you mean"
    },
    "{search: null}": {"search": "unknown kind of search nothing (null); accepted: "},
    "{search: choice}": {"": "`search: choice` needs `values:`, a list"},
    "{search: choice, values: []}": {"": "`search: choice` needs `values:`, a list"},
    "{search: choice, values: 3}": {"": "`search: choice` needs `values:`, a list"},
    "{search: choice, values: [1, 2], default: 3}": {"default": "3 is none of: 1, 2"},
    "{search: bool, default: no}": {"default": "true or false is expected. Received"},
    "{search: bool, values: [true]}": {"values": "accepted: default, search"},
    "{search: one_of}": {"": "`search: one_of` needs `of:`, a list"},
    "{search: one_of, of: Dense}": {"": "`search: one_of` needs `of:`, a list"},
    "{search: one_of, of: [], default: 3}": {
        "": "`search: one_of` needs `of:`, a list"
    },
    "{search: one_of, of: [Dense, L2], default: L1}": {
        "default": "is none of: Dense, L2"
    },
}
REPEATS = {
    "{repeat: -1, of: [Flatten]}": {
        "repeat": "from 0 to 1000 is expected. Received: -1"
    },
    "{repeat: two, of: [Flatten]}": {"repeat": "Received: 'two'"},
    "{repeat: true, of: [Flatten]}": {"repeat": "Received: true"},
    "{repeat: 1.5, of: [Flatten]}": {"repeat": "Received: 1.5"},
    "{repeat: 1001, of: []}": {"repeat": "a whole number from 0 to 1000 is expected"},
    "{repeat: 2}": {"": "`repeat:` needs `of:`, the list of layers to repeat"},
    "{repeat: 2, of: Flatten}": {"": "`repeat:` needs `of:`, the list of layers"},
    "{repeat: 2, off: [Flatten]}": {
        "": "`repeat:` needs `of:`, the list of layers to repeat",
        "off": "unknown key 'off' of a repeat; did you mean 'of'?",
    },
    "{repeat: {search: int, min: 1}, of: [Flatten]}": {
        "repeat": "`search: int` needs max"
    },
    "{repeat: {search: float, min: 1.5, max: 2}, of: [Flatten]}": {
        "repeat": "a whole number from 0 to 1000 is expected. Received: 1.5"
    },
}


def expected(problems, spec, start, path):
    """The heads of problems of a one-line spec that starts at a column of line 2."""
    told = {}
    for key, phrase in problems.items():
        column = start
        if key:  # an unknown key's own place, or that of a known key's value
            unknown = phrase.startswith("unknown key") or key == "values"
            column += spec.index(f"{key}: ") + (0 if unknown else len(key) + 2)
        told[f"2:{column}  {path}{key and '.'}{key}"] = phrase
    return told


@pytest.mark.parametrize("spec", RANGES)
def test_space_is_refused(assert_told, spec):
    text = f"model:\n  - {{use: Dense, units: {spec}}}\n"
    assert_told(expected(RANGES[spec], spec, 25, "model[0].units"), text)


@pytest.mark.parametrize("spec", REPEATS)
def test_repeat_is_refused(assert_told, spec):
    assert_told(expected(REPEATS[spec], spec, 5, "model[0]"), f"model:\n  - {spec}\n")


def test_repeated_layers_are_told_of_once(assert_told):
    text = """\
model:
  - repeat: 3
    of:
      - {use: Dense, unitz: 3}
      - {repeat: 2, of: [Flaten]}
  - {search: one_of, of: [{use: Dense, unitz: 4}, Flatten]}
"""
    told = {
        "4:15  model[0].of[0].use": "keras.Dense needs `units:`",
        "4:22  model[0].of[0].unitz": "did you mean 'units'?",
        "5:26  model[0].of[1].of[0]": "did you mean 'keras.Flatten'?",
        "6:33  model[1].of[0].use": "keras.Dense needs `units:`",
        "6:40  model[1].of[0].unitz": "did you mean 'units'?",
    }
    assert_told(told, text)


@pytest.mark.long
def test_repeats_of_repeats_are_capped(assert_told):
    text = "model:\n  - {repeat: 999, of: [{repeat: 999, of: [Flatten]}]}\n"
    told = {"2:43  model[0].of[0].of[0]": "more than 50000 values, once repeated"}
    assert_told(told, text)


def test_nothing_is_left_to_train(assert_told):
    text = "model:\n  - {repeat: 0, of: [Flatten]}\n"
    assert_told({"2:3  model": "at least one layer is expected"}, text)


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        (
            "{use: Dropout, rate: {search: choice, values: [0.5, high]}}",
            {"2:26  model[0].rate": "a number is expected. Received: 'high'"},
        ),
        (  # the default was tried alone: true is wrong here, and false the default
            "{use: Discretization, bin_boundaries: [0.0], sparse: {search: bool}}",
            {"2:58  model[0].sparse": "`sparse=True` may only be used"},
        ),
        (
            "{use: ActivityRegularization, l1: {search: choice, values: [0, .inf]}}",
            {"2:39  model[0].l1": "a finite number is expected. Received: inf"},
        ),
    ],
)
def test_all_values_that_are_searched_are_tried(assert_told, layer, told):
    data = "data: {use: spirals, samples: 40}\nloss: {use: MeanSquaredError}\n"
    assert_told(told, f"model:\n  - {layer}\n  - {{use: Dense, units: 1}}\n{data}")


def test_a_searched_float_is_tried_as_trials_get_it():
    units = {"search": "float", "min": 4, "max": 9}
    layers = ["Flatten", {"use": "Dense", "units": units}]
    config = {"model": layers, "loss": "mse", "data": {"use": "spirals", "samples": 40}}
    with pytest.raises(ConfigError) as caught:
        check_config(config)
    told = [problem.message for problem in caught.value.problems]
    assert [text.rpartition("Received: ")[2] for text in told] == [
        "units=4.0",
        "units=9.0",
    ]


@pytest.mark.parametrize("low", ["0", "-1"])
def test_a_searched_rate_is_positive(assert_told, low):
    space = f"{{search: float, min: {low}, max: 1.0, default: 0.1}}"
    text = "model: [{use: Input, shape: [2]}, {use: Dense, units: 2}]\nloss: mse\n"
    text += f"optimizer: {{use: SGD, learning_rate: {space}}}\n"
    told = f"a number above 0 is expected. Received: {low}"
    assert_told({"3:38  optimizer.learning_rate": told}, text)
