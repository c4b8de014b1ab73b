"""A test for each private name of KerasTuner that the package uses.

Each shows what the package needs of the name, so it fails when the name is gone and
when it has come to mean something else.
"""

import ast
import importlib.util
import inspect
import sys
from concurrent import futures

import grpc
import pytest

from keras_dlparts.searching import kerastuner

kt = kerastuner.load()


def space():
    hp = kt.HyperParameters()
    hp.Choice("units", [2, 4, 8])
    return hp


def made(name="RandomSearchOracle", folder=None, base=(), **options):
    """An oracle of KerasTuner's, with files of its own."""
    kind = getattr(kt.oracles, name)
    kind = type(name, (*base, kind), {}) if base else kind
    oracle = kind(
        objective=kt.Objective("loss", "min"), hyperparameters=space(), **options
    )
    oracle.verbose = 0
    if folder is not None:
        kerastuner.set_folder(oracle, folder)
    return oracle


def end(oracle, trial, loss=1.0):
    oracle.update_trial(trial.trial_id, {"loss": loss})
    trial.status = "COMPLETED"
    oracle.end_trial(trial)


def test_every_function_here_has_a_test():
    public = {
        name
        for name, value in vars(kerastuner).items()
        if name[0] != "_" and getattr(value, "__module__", "") == kerastuner.__name__
    }
    tree = ast.parse(inspect.getsource(sys.modules[__name__]))
    taken = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    assert public - taken == set()


def test_what_is_missing_is_named_before_keras_tuner_is_imported(monkeypatch):
    find = importlib.util.find_spec
    missing = {"six", "grpc"}
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name in missing else find(name),
    )
    with pytest.raises(ImportError, match=r"needs six, grpc, which are not .*\[tune\]"):
        kerastuner.load()


def test_a_parent_is_the_condition_of_a_hyperparameter_of_its_own():
    hp = space()
    only = kt.engine.hyperparameters.Boolean(
        name="bias", conditions=[kerastuner.parent("units", [4])]
    )
    hp.merge([only])
    active = []
    for units in (2, 4):
        hp.values["units"] = units
        active.append(hp.is_active("bias"))
    assert active == [False, True]


def test_conditions_are_sent_without_being_printed(capsys):
    """`load` replaces the `print` that stands in their module."""
    kerastuner.parent("units", [4]).to_proto()
    kerastuner.parent("units", ["a"]).to_proto()
    assert capsys.readouterr().out == ""


def test_an_oracle_keeps_its_files_in_the_folder(tmp_path):
    oracle = made(folder=tmp_path / "here", max_trials=2)
    trial = oracle.create_trial("w")
    names = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.json")}
    assert names == {"here/oracle.json", f"here/trial_{trial.trial_id}/trial.json"}
    assert kerastuner.trial_class() is type(trial)


def test_a_trial_is_saved_by_our_method_whenever_it_changes(tmp_path):
    saved = []

    class Ours(kerastuner.SavesTrials):
        def save_trial(self, trial):
            saved.append(trial.status)

    oracle = made(folder=tmp_path / "s", base=(Ours,), max_trials=2)
    end(oracle, oracle.create_trial("w"))
    assert saved == ["RUNNING", "RUNNING", "COMPLETED"]
    assert not [*tmp_path.rglob("trial.json")]


def test_the_last_that_waits_is_given_before_a_new_one(tmp_path):
    oracle = made(folder=tmp_path / "s", max_trials=3)
    first, second = oracle.create_trial("a"), oracle.create_trial("b")
    oracle.ongoing_trials.clear()
    kerastuner.waiting(oracle).extend([first.trial_id, second.trial_id])
    assert oracle.create_trial("c") is second
    assert oracle.create_trial("d") is first
    assert kerastuner.waiting(oracle) == []


def test_what_is_noted_as_tried_is_not_proposed(tmp_path):
    """Of three values two were tried elsewhere: the third is left, then nothing."""
    oracle = made(folder=tmp_path / "s", max_trials=9, seed=1)
    for number, units in enumerate((2, 8)):
        hp = oracle.get_space()
        hp.values = {"units": units}
        kerastuner.note_tried(oracle, kerastuner.trial_class()(hp, f"old{number}"))
    trial = oracle.create_trial("w")
    assert trial.hyperparameters.values == {"units": 4}
    assert oracle.create_trial("v").status == "STOPPED"


def test_the_sizes_of_hyperband_are_those_that_it_runs(tmp_path):
    """Li et al. 2018, table 1, with R = 9 and eta = 3: brackets of 9 + 3 + 1, 5 + 1
    and 3 trials, of which KerasTuner rounds up."""
    hp = kt.HyperParameters()
    hp.Float("rate", 0.0, 1.0)
    oracle = kt.oracles.HyperbandOracle(
        objective=kt.Objective("loss", "min"),
        hyperparameters=hp,
        max_epochs=9,
        factor=3,
        seed=1,
    )
    oracle.verbose = 0
    kerastuner.set_folder(oracle, tmp_path / "s")
    count = 0
    while (trial := oracle.create_trial("w")).status == "RUNNING":
        count += 1
        end(oracle, trial, loss=count)
    assert count == sum(kerastuner.hyperband_sizes(oracle))


def test_a_grid_goes_on_in_another_oracle_where_it_was(tmp_path):
    """With its order and sources the second proposes what the first would have."""
    first = made("GridSearchOracle", tmp_path / "a", max_trials=9)
    trial = first.create_trial("w")
    end(first, trial)
    trial = first.create_trial("w")
    end(first, trial)
    assert kerastuner.grid_order(first) == [*first.start_order]
    second = made("GridSearchOracle", tmp_path / "b", max_trials=9)
    second.trials = dict(first.trials)
    second.set_state(first.get_state())
    kerastuner.set_grid_order(second, kerastuner.grid_order(first))
    kerastuner.set_grid_sources(second, [*first.end_order])
    assert kerastuner.grid_order(second) == kerastuner.grid_order(first)
    values = second.create_trial("w").hyperparameters.values
    assert values == first.create_trial("w").hyperparameters.values == {"units": 8}


def test_a_worker_asks_an_oracle_over_the_channel(tmp_path):
    oracle = made(folder=tmp_path / "s", max_trials=1)
    server = grpc.server(futures.ThreadPoolExecutor(1))
    servicer, add = kerastuner.servicer(oracle)
    add(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        options = (("grpc.enable_http_proxy", 0),)
        with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
            request = kerastuner.messages().CreateTrialRequest(tuner_id="w")
            reply = kerastuner.stub(channel).CreateTrial(request, timeout=20)
    finally:
        server.stop(0)
    trial = kerastuner.trial_class().from_proto(reply.trial)
    assert trial.trial_id == oracle.ongoing_trials["w"].trial_id
    assert trial.hyperparameters.values == oracle.trials["0"].hyperparameters.values
