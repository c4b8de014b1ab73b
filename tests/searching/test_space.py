"""The whole space of a config: its names, when each counts, what is wrong in it."""

import random

import pytest

from keras_dlparts.config.branches import check_config
from keras_dlparts.config.document import Document
from keras_dlparts.config.errors import ConfigError
from keras_dlparts.config.experiment import load
from keras_dlparts.config.searched import steps_of
from keras_dlparts.config.space import settle
from keras_dlparts.config.whole_space import whole_space
from keras_dlparts.searching import hypermodel, hyperparameters
from keras_dlparts.searching.space import chooser, decoded

INT = {"search": "int", "min": 1, "max": 9}
RATE = {"search": "float", "min": 0.0, "max": 0.5}
NESTED = {
    "data": {"use": "spirals", "samples": 60, "batch_size": INT},
    "model": [
        {
            "repeat": {"search": "int", "min": 0, "max": 3},
            "of": [
                {"use": "Dense", "units": INT},
                {
                    "search": "one_of",
                    "of": [
                        {"use": "Dropout", "rate": RATE},
                        {
                            "search": "one_of",
                            "of": [{"use": "RandomDropout", "rate": RATE}, "ReLU"],
                        },
                    ],
                },
            ],
        },
        {"use": "Dense", "units": 2, "use_bias": {"search": "bool", "default": True}},
    ],
    "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
    "fit": {"epochs": {"search": "choice", "values": [1, 2]}},
}


def asked_in(values, hp):
    """The names that `settle` asks for, with values from KerasTuner."""
    asked = []

    def choose(name, spec):
        asked.append(name)
        return chooser(hp.values)(name, spec)

    settled = settle(Document(values), choose)
    assert settled.problems == []
    return asked


def test_what_counts_is_what_settling_asks_for():
    """Whatever is drawn: KerasTuner's active values are those that a config needs."""
    hp, draw = hyperparameters(NESTED), random.Random(0)
    assert len(hp.space) == 1 + 1 + 3 * 5 + 1 + 1
    sizes = set()
    for _ in range(200):
        hp.values = {}
        for one in hp.space:
            if hp.is_active(one):
                hp.values[one.name] = one.random_sample(draw.random())
        asked = asked_in(NESTED, hp)
        assert sorted(asked) == sorted(hp.values)
        sizes.add(len(asked))
    assert min(sizes) == 4  # no repetition
    assert max(sizes) == 4 + 3 * 4


def test_all_is_declared_with_the_configs_defaults():
    hp = hyperparameters(NESTED)
    assert hp.values == {
        "data.batch_size": 1,
        "model[0].repeat": 0,
        "model[1].use_bias": True,
        "fit.epochs": 1,
    }
    inner = "model[0].repeat[2][1].one_of.RandomDropout.rate"
    (rate,) = [one for one in hp.space if one.name == inner]
    assert [(c.name, c.values) for c in rate.conditions] == [
        ("model[0].repeat", [3]),
        ("model[0].repeat[2][1]", ["one_of"]),
        ("model[0].repeat[2][1].one_of", ["RandomDropout"]),
    ]


@pytest.mark.parametrize(
    ("spec", "kind", "decodes"),
    [
        ({"search": "int", "min": 8, "max": 64, "scale": "log", "step": 2}, "Int",
         {8: 8, 64: 64}),
        ({"search": "float", "min": 0, "max": 0.3, "step": 0.1}, "Choice",
         {0.0: 0.0, 0.1: 0.1, 0.2: 0.2, 0.3: 0.3}),
        ({"search": "float", "min": 1e-4, "max": 1e-2, "scale": "log"}, "Float", {}),
        ({"search": "bool"}, "Boolean", {True: True, False: False}),
        ({"search": "choice", "values": [3, 5]}, "Choice", {3: 3, 5: 5}),
        ({"search": "choice", "values": ["relu", None]}, "Choice",
         {"relu": "relu", "null": None}),
        ({"search": "choice", "values": ["null", None]}, "Choice",
         {'"null"': "null", "null": None}),
        ({"search": "choice", "values": [0, 0.5]}, "Choice", {"0": 0, "0.5": 0.5}),
        ({"search": "choice", "values": [True, False]}, "Choice", {"true": True}),
        ({"search": "choice", "values": [[3, 3], {"a": 1}]}, "Choice",
         {"[3, 3]": [3, 3], '{"a": 1}': {"a": 1}}),
        ({"search": "one_of", "of": ["A", {"use": "A"}]}, "Choice",
         {"A": 0, "A#2": 1}),
    ],
)  # fmt: skip
def test_kinds(spec, kind, decodes):
    hp = hyperparameters({"model": [{"use": "Dense", "units": spec}]})
    (one,) = hp.space
    assert type(one).__name__ == kind
    for value, plain in decodes.items():
        found = decoded(spec, value)
        assert (found, type(found)) == (plain, type(plain))
    for n in range(50):
        decoded(spec, one.random_sample(n))


def test_steps_are_free_of_rounding_and_reach_the_end():
    spec = {"search": "float", "min": 0, "max": 0.8, "step": 0.1}
    assert steps_of(spec) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    spec = {"search": "float", "min": 1e-3, "max": 10, "step": 10, "scale": "log"}
    assert steps_of(spec) == [1e-3, 1e-2, 0.1, 1.0, 10.0]
    spec = {"search": "int", "min": 2, "max": 40, "step": 2, "scale": "log"}
    assert steps_of(spec) == [2, 4, 8, 16, 32]


def refused(config):
    with pytest.raises(ConfigError) as caught:
        check_config(config)
    return {problem.path: problem.message for problem in caught.value.problems}


def test_spaces_of_all_branches_are_checked():
    bad = {"search": "int", "min": 9, "max": 3}
    config = {**NESTED, "model": [{"search": "one_of", "of": ["ReLU", {"u": bad}]}]}
    assert refused(config) == {
        "model[0].of[1].u.min": "min must not exceed max. Received: 9 > 3"
    }


@pytest.mark.parametrize(
    ("count", "told"),
    [
        ({"search": "int", "min": 0, "max": 1001}, "0 to 1000 times. Received: 0 to"),
        ({"search": "choice", "values": [1, 2.5]}, "`choice` of whole numbers"),
        ({"search": "bool"}, "a whole number from 0 to 1000"),
    ],
)
def test_repeats_that_cannot_be(count, told):
    config = {**NESTED, "model": [{"repeat": count, "of": ["ReLU"]}]}
    assert told in refused(config)["model[0].repeat"]


def test_what_a_whole_search_shares_is_not_searched():
    config = {**NESTED, "search": {"trials": INT}}
    assert refused(config) == {
        "search.trials": "`search:` is one for a whole search; give a plain value"
    }


def test_there_is_a_limit():
    inner = {"repeat": 50, "of": [{"use": "Dense", "units": INT}]}
    config = {**NESTED, "model": [{"repeat": 50, "of": [inner]}]}
    (told,) = refused(config).values()
    assert told == "more than 1000 searched values, once repeated"


def test_every_branch_is_assembled_once(tmp_path):
    """Errors of branches and of the ends of ranges have their lines."""
    path = tmp_path / "config.yaml"
    path.write_text(
        "data: {use: spirals, samples: 60}\n"
        "model:\n"
        "  - search: one_of\n"
        "    of:\n"
        "      - {use: Dense, units: 4}\n"
        "      - {use: Reshape, target_shape: [3]}\n"
        "  - {use: Dropout, rate: {search: float, min: 0.0, max: 1.5}}\n"
        "  - repeat: {search: int, min: 0, max: 2}\n"
        "    of: [{search: one_of, of: [ReLU, {use: Conv2D, filters: 2, "
        "kernel_size: 3}]}]\n"
        "  - {use: Dense, units: 2}\n"
        "loss: {use: SparseCategoricalCrossentropy, from_logits: true}\n"
    )
    load(path)  # the default is good
    with pytest.raises(ConfigError) as caught:
        check_config(path)
    lines = [(problem.at[0], problem.path) for problem in caught.value.problems]
    assert lines == [
        (6, "model[0].of[1]"),
        (7, "model[1].rate"),
        (9, "model[2].of[0].of[1]"),
    ]


@pytest.mark.long
def test_a_good_space_gives_the_default_model_and_the_space():
    made, spaces = check_config(NESTED)
    assert made.model.count_params() == 2 * 2 + 2
    assert len(spaces) == len(hyperparameters(NESTED).space)


def test_whole_space_leaves_the_document_as_it_was():
    document = Document(NESTED)
    whole_space(document)
    assert document.problems == []


@pytest.mark.long
def test_a_hypermodel_builds_and_fits(tmp_path):
    """KerasTuner's own tuner, with nothing said but the config."""
    import keras_tuner

    tuner = keras_tuner.RandomSearch(
        hypermodel(NESTED),
        objective="val_loss",
        max_trials=2,
        seed=3,
        directory=tmp_path,
    )
    tuner.search(verbose=0)
    trials = tuner.oracle.trials.values()
    assert [trial.status for trial in trials] == ["COMPLETED", "COMPLETED"]
    for trial in trials:
        names = asked_in(NESTED, trial.hyperparameters)
        assert sorted(trial.hyperparameters.values) == sorted(names)
