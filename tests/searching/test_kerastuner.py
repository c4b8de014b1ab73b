"""A test for each private name of KerasTuner that a search uses.

Each shows what the search needs of the name, so it fails when the name is gone and when
it has come to mean something else.
"""

import ast
from concurrent import futures
from pathlib import Path

import pytest

from keras_dlparts.searching import kerastuner


@pytest.fixture(scope="module")
def kt():
    return kerastuner.load()


def an_oracle(kt, name="RandomSearchOracle", values=3, kind=None, **arguments):
    """An oracle of one hyperparameter, `units`, from 1 to `values`."""
    hp = kt.HyperParameters()
    hp.Int("units", 1, values)
    base = getattr(kt.oracles, name)
    kind = base if kind is None else type(name, (kind, base), {})
    return kind(
        objective=kt.Objective("loss", "min"),
        hyperparameters=hp,
        seed=1,
        **arguments,
    )


def end(oracle, trial, status="COMPLETED"):
    if status == "COMPLETED":
        oracle.update_trial(trial.trial_id, {"loss": 1.0})
    trial.status = status
    oracle.end_trial(trial)


def test_every_function_has_a_test():
    functions = {
        name
        for name, value in vars(kerastuner).items()
        if getattr(value, "__module__", None) == kerastuner.__name__
    }
    own = ast.parse(Path(__file__).read_text())
    taken = {node.attr for node in ast.walk(own) if isinstance(node, ast.Attribute)}
    assert functions - taken == set()


def test_conditions_print_nothing(kt, capsys):
    hp = kt.HyperParameters()
    hp.Choice("kind", ["a", "b"])
    with hp.conditional_scope("kind", ["a"]):
        hp.Int("units", 1, 3)
    copy = kt.HyperParameters.from_proto(hp.to_proto())
    assert {h.name for h in copy.space} == {"kind", "units"}
    assert capsys.readouterr().out == ""


def test_a_parent_makes_a_hyperparameter_depend(kt):
    hp = kt.HyperParameters()
    hp.Choice("kind", ["a", "b"], default="b")
    hp.merge(
        [
            kt.engine.hyperparameters.Int(
                "units", 1, 3, conditions=[kerastuner.parent("kind", ["a"])]
            )
        ]
    )
    (units,) = [h for h in hp.space if h.name == "units"]
    assert not hp.is_active(units)
    hp.values["kind"] = "a"
    assert hp.is_active(units)


def test_an_oracle_keeps_its_files_where_it_is_told(kt, tmp_path):
    oracle = an_oracle(kt)
    kerastuner.set_folder(oracle, tmp_path / "search")
    trial = oracle.create_trial("tuner0")
    oracle.save()
    assert (tmp_path / "search" / "oracle.json").exists()
    path = tmp_path / "search" / f"trial_{trial.trial_id}" / "trial.json"
    loaded = kerastuner.trial_class().load(str(path))
    assert loaded.hyperparameters.values == trial.hyperparameters.values


def test_a_trials_file_is_written_by_us(kt, tmp_path):
    saved = []

    class Saving(kerastuner.SavesTrials):
        def save_trial(self, trial):
            saved.append((trial.trial_id, trial.status))

    oracle = an_oracle(kt, kind=Saving)
    kerastuner.set_folder(oracle, tmp_path)
    trial = oracle.create_trial("tuner0")
    end(oracle, trial)
    assert (trial.trial_id, "RUNNING") in saved
    assert saved[-1] == (trial.trial_id, "COMPLETED")
    assert not [*tmp_path.glob("trial_*/trial.json")]


def test_retries_come_before_new_trials(kt, tmp_path):
    oracle = an_oracle(kt)
    kerastuner.set_folder(oracle, tmp_path)
    trial = oracle.create_trial("tuner0")
    assert kerastuner.retries(oracle) == []
    oracle.ongoing_trials.clear()
    kerastuner.retries(oracle).append(trial.trial_id)
    assert oracle.get_state()["retry_queue"] == [trial.trial_id]
    again = oracle.create_trial("tuner1")
    assert again.trial_id == trial.trial_id
    assert kerastuner.retries(oracle) == []


def test_values_that_were_tried_are_not_proposed_again(kt, tmp_path):
    first = an_oracle(kt, values=2)
    kerastuner.set_folder(first, tmp_path / "first")
    trial = first.create_trial("tuner0")
    end(first, trial)
    second = an_oracle(kt, values=2)
    kerastuner.set_folder(second, tmp_path / "second")
    second.trials[trial.trial_id] = trial
    kerastuner.mark_as_tried(second, trial)
    (other,) = {1, 2} - {trial.hyperparameters.values["units"]}
    proposed = second.create_trial("tuner0")
    assert proposed.hyperparameters.values["units"] == other


def test_round_sizes_are_the_trials_that_hyperband_makes(kt, tmp_path):
    oracle = an_oracle(kt, "HyperbandOracle", values=50, max_epochs=4, factor=2)
    kerastuner.set_folder(oracle, tmp_path)
    sizes = kerastuner.round_sizes(oracle)
    made = 0
    while (trial := oracle.create_trial("tuner0")).status == "RUNNING":
        made += 1
        end(oracle, trial)
    assert made == sum(sizes) > 4


def test_a_grids_order_is_read_and_put_back(kt, tmp_path):
    """Half a grid, then another oracle that is given its trials, finish it."""

    def grid(name):
        oracle = an_oracle(kt, "GridSearchOracle", values=4)
        kerastuner.set_folder(oracle, tmp_path / name)
        return oracle

    one, made = grid("one"), []
    for _ in range(2):
        made.append(one.create_trial("tuner0"))
        end(one, made[-1])
    ids = [trial.trial_id for trial in made]
    assert kerastuner.grid_order(one) == ids
    other = grid("other")
    assert kerastuner.grid_order(other) == []
    kerastuner.append_to_grid(other, ids)
    assert kerastuner.grid_order(other) == ids
    other.trials.update(one.trials)
    other.start_order, other.end_order = [*ids], [*ids]
    kerastuner.set_grid_starts(other, [*ids])
    units = [trial.hyperparameters.values["units"] for trial in made]
    for _ in range(2):
        trial = other.create_trial("tuner0")
        assert trial.status == "RUNNING"
        units.append(trial.hyperparameters.values["units"])
        end(other, trial)
    assert units == [1, 2, 3, 4]


def test_the_channel_carries_a_trial(kt, tmp_path):
    import grpc

    oracle = an_oracle(kt)
    kerastuner.set_folder(oracle, tmp_path)
    servicer, add = kerastuner.servicer(oracle)
    assert servicer.oracle is oracle
    server = grpc.server(futures.ThreadPoolExecutor(1))
    add(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub, messages = kerastuner.stub(channel), kerastuner.messages()
            reply = stub.CreateTrial(messages.CreateTrialRequest(tuner_id="tuner0"))
            trial = kerastuner.trial_class().from_proto(reply.trial)
    finally:
        server.stop(None)
    (made,) = oracle.trials.values()
    assert trial.trial_id == made.trial_id
    assert trial.hyperparameters.values == made.hyperparameters.values
    assert messages.EndTrialResponse()
