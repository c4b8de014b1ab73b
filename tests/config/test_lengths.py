"""Schedules whose length is the run, or epochs, in place of counted steps."""

import json

import jsonschema
import pytest
import yaml

from keras_dlparts import ConfigError, train
from keras_dlparts.config.assemble import assemble
from keras_dlparts.config.experiment import load
from keras_dlparts.config.json_schema import json_schema

# 40 samples of which 36 train, in batches of 10: 4 steps an epoch.
DATA = {"use": "spirals", "samples": 40, "batch_size": 10}
LOSS = {"use": "SparseCategoricalCrossentropy", "from_logits": True}


def config(schedule, epochs=5, **more):
    rate = {"initial_learning_rate": 0.1} | schedule
    return {
        "data": DATA,
        "model": [{"use": "Dense", "units": 2}],
        "optimizer": {"use": "SGD", "learning_rate": rate},
        "loss": LOSS,
        "fit": {"epochs": epochs},
    } | more


def cosine(decay_steps, **more):
    return {"use": "CosineDecay", "decay_steps": decay_steps} | more


def settled(values, **options):
    experiment = load(values)
    schedule = assemble(experiment, **options).model.optimizer._learning_rate
    return schedule, experiment.resolved()["optimizer"]["learning_rate"]


@pytest.mark.parametrize(
    ("length", "steps"),
    [
        ("run", 20),
        ({"run": 0.5}, 10),
        ({"epochs": 3}, 12),
        ({"epochs": 0.5}, 2),
        ({"epochs": 0.001}, 1),
        (7, 7),
        (7.0, 7.0),
    ],
)
def test_a_length_becomes_steps(length, steps):
    schedule, resolved = settled(config(cosine(length)))
    assert schedule.decay_steps == steps
    assert resolved["decay_steps"] == steps
    assert type(resolved["decay_steps"]) is type(steps)


def test_every_argument_that_counts_steps():
    schedule, resolved = settled(
        config(cosine({"run": 0.9}, warmup_steps={"epochs": 1}, warmup_target=0.2))
    )
    assert (schedule.decay_steps, schedule.warmup_steps) == (18, 4)
    assert resolved["warmup_steps"] == 4
    piecewise = {
        "use": "PiecewiseConstantDecay",
        "boundaries": [{"epochs": 2}, {"run": 0.75}, 18],
        "values": [0.1, 0.01, 0.001, 0.0001],
    }
    values = config({})
    values["optimizer"]["learning_rate"] = piecewise
    _, resolved = settled(values)
    assert resolved["boundaries"] == [8, 15, 18]
    restarts = {"use": "CosineDecayRestarts", "first_decay_steps": {"epochs": 2}}
    assert settled(config(restarts))[1]["first_decay_steps"] == 8


def test_steps_may_be_those_of_several_replicas():
    # Four replicas leave out the last 2 of 6 samples, a TPU the whole last batch.
    assert settled(config(cosine("run")), steps=lambda data: 3)[0].decay_steps == 15


def test_a_searched_number_of_epochs():
    values = config(cosine("run"))
    values["fit"] = {"epochs": {"search": "int", "min": 2, "max": 9, "default": 3}}
    chosen = load(values, choose=lambda name, spec: 7)
    assert assemble(chosen).model.optimizer._learning_rate.decay_steps == 28
    values = config(cosine({"epochs": {"search": "int", "min": 1, "max": 4}}))
    assert settled(values)[0].decay_steps == 4


@pytest.mark.parametrize(
    ("schedule", "place", "message"),
    [
        (cosine("runs"), "decay_steps", "'run'.*is expected.*Received: 'runs'"),
        (cosine({"run": 2}), "decay_steps", "a share of the run, at most 1"),
        (cosine({"run": 0}), "decay_steps", "a number above 0 is expected as run"),
        (cosine({"days": 2}), "decay_steps", r"run, \{run: share\} or \{epochs: num"),
        (cosine({"epochs": "2"}), "decay_steps.epochs", "number is expected"),
        (
            cosine(9, warmup_steps={"epochs": True}),
            "warmup_steps",
            "a number above 0 is expected as epochs",
        ),
        (
            {
                "use": "PiecewiseConstantDecay",
                "boundaries": [{"run": 3}],
                "values": [1, 2],
            },
            r"boundaries\[0\]",
            "at most 1",
        ),
    ],
)
def test_bad_lengths(schedule, place, message):
    values = config({})
    values["optimizer"]["learning_rate"] = schedule | (
        {} if "boundaries" in schedule else {"initial_learning_rate": 0.1}
    )
    with pytest.raises(
        ConfigError, match=rf"optimizer.learning_rate.{place}\n.*{message}"
    ):
        load(values)


def test_other_mistakes_are_told_beside_a_length():
    values = config(cosine("run")) | {"fit": {"epoch": 3}}
    with pytest.raises(ConfigError) as caught:
        load(values)
    assert [p.path for p in caught.value.problems] == ["fit.epoch"]


def test_without_data():
    values = config(cosine("run"))
    values["model"] = [{"use": "Input", "shape": [2]}, *values["model"]]
    del values["data"]
    with pytest.raises(ConfigError, match=r"decay_steps\n.*only with `data:`"):
        assemble(load(values))


def test_only_schedules_count_steps():
    values = config({})
    values["optimizer"] = {"use": "SGD", "gradient_accumulation_steps": "run"}
    with pytest.raises(ConfigError, match=r"keras.SGD: .*'str'"):
        assemble(load(values))


@pytest.mark.long
def test_a_resolved_config_repeats_the_run(tmp_path):
    run = train(config(cosine("run"), epochs=2), out=tmp_path, verbose=0)
    resolved = yaml.safe_load((run.path / "resolved.yaml").read_text())
    assert resolved["optimizer"]["learning_rate"]["decay_steps"] == 8
    again = train(run.path / "resolved.yaml", out=tmp_path / "again", verbose=0)
    assert again.history["loss"] == run.history["loss"]


@pytest.mark.long
def test_the_schema_knows_lengths():
    validator = jsonschema.Draft202012Validator(json_schema())
    for length in ("run", {"epochs": 2}, 30):
        validator.validate(json.loads(json.dumps(config(cosine(length)))))
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(config(cosine("walk")))
