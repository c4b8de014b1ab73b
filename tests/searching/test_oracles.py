"""Oracles without training: what they propose, keep over a kill, and stop."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from keras_dlparts.config.document import Document
from keras_dlparts.config.schema import Search
from keras_dlparts.config.whole_space import whole_space
from keras_dlparts.searching.oracles import make_oracle
from keras_dlparts.support.files import DiskFull

GRID = {
    "a": {"search": "choice", "values": [1, 2, 3]},
    "b": {"search": "one_of", "of": [{"use": "X", "c": {"search": "bool"}}, "Y"]},
    "d": {"search": "float", "min": 0.0, "max": 0.2, "step": 0.1},
}


def oracle_in(folder, values=GRID, epochs=9, **settings):
    settings = {"seed": 0, "direction": "min", **settings}
    folder.mkdir(exist_ok=True)
    spaces = whole_space(Document(values))
    return make_oracle(folder, spaces, Search(**settings), epochs)


def score(values):
    return values["a"] + (values["b"] == "Y") + values["d"]


def step(oracle, worker="tuner0"):
    """Ask for a trial and finish it; None when there are no more."""
    trial = oracle.create_trial(worker)
    if trial.status != "RUNNING":
        return None
    finish(oracle, trial)
    return trial


def finish(oracle, trial):
    values = trial.hyperparameters.values
    oracle.update_trial(trial.trial_id, {"val_loss": score(values)}, step=0)
    oracle.finish(trial, "COMPLETED", epochs=1)


def combinations(oracle):
    trials = oracle.trials.values()
    return sorted(str(sorted(t.hyperparameters.values.items())) for t in trials)


def test_the_grid_is_everything_once(tmp_path):
    oracle = oracle_in(tmp_path / "s", algorithm="grid")
    while step(oracle):
        pass
    assert len(oracle.trials) == 3 * (2 + 1) * 3
    assert len({*combinations(oracle)}) == 27
    assert oracle.is_over()


def test_the_grid_goes_on_after_each_reload(tmp_path):
    while step(oracle_in(tmp_path / "s", algorithm="grid")):
        pass
    whole = oracle_in(tmp_path / "other", algorithm="grid")
    while step(whole):
        pass
    again = oracle_in(tmp_path / "s", algorithm="grid")
    assert combinations(again) == combinations(whole)


@pytest.mark.parametrize("algorithm", ["random", "bayesian"])
def test_a_reload_changes_nothing_of_what_is_proposed(tmp_path, algorithm):
    """As long as the Gaussian process is not asked, which draws its own starts."""
    for _ in range(6):
        step(oracle_in(tmp_path / "s", algorithm=algorithm, trials=6))
    whole = oracle_in(tmp_path / "other", algorithm=algorithm, trials=6)
    while step(whole):
        pass
    again = oracle_in(tmp_path / "s", algorithm=algorithm, trials=6)
    assert combinations(again) == combinations(whole)


@pytest.mark.long
def test_bayes_finds_what_is_best(tmp_path):
    values = {"x": {"search": "float", "min": -1.0, "max": 1.0}}
    oracle = oracle_in(tmp_path / "s", values, algorithm="bayesian", trials=9)
    while (trial := oracle.create_trial("w")).status == "RUNNING":
        x = trial.hyperparameters.values["x"]
        oracle.update_trial(trial.trial_id, {"val_loss": (x - 0.3) ** 2}, step=0)
        oracle.finish(trial, "COMPLETED")
    assert abs(oracle.get_best_trials()[0].hyperparameters.values["x"] - 0.3) < 0.05


def test_hyperband_halves(tmp_path):
    oracle = oracle_in(tmp_path / "s", algorithm="hyperband", epochs=9)
    while step(oracle):
        oracle = oracle_in(tmp_path / "s", algorithm="hyperband", epochs=9)
    rounds = {}
    for trial in oracle.trials.values():
        values = trial.hyperparameters.values
        key = (values["tuner/bracket"], values["tuner/epochs"])
        rounds[key] = rounds.get(key, 0) + 1
    # Li et al. 2018, R = 9 and factor 3: trials by (bracket, epochs).
    assert rounds == {
        (2, 1): 9,
        (2, 3): 3,
        (2, 9): 1,
        (1, 3): 5,
        (1, 9): 2,
        (0, 9): 3,
    }


def test_seed_zero_is_a_seed(tmp_path):
    first, second = (
        step(oracle_in(tmp_path / name, seed=0)).hyperparameters.values
        for name in ("a", "b")
    )
    other = step(oracle_in(tmp_path / "c", seed=5)).hyperparameters.values
    assert first == second != other


def files(oracle):
    return {
        path: path.read_bytes() for path in oracle.folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("algorithm", ["random", "bayesian", "hyperband", "grid"])
def test_a_kill_between_any_two_files_loses_nothing_finished(
    tmp_path, monkeypatch, algorithm
):
    """Writes stop after the n-th, for every n: the next oracle goes on, and each
    finished trial is there, once."""
    from keras_dlparts.searching import oracles

    class KilledError(BaseException):
        pass

    write, ends = oracles.write_json, set()
    for last in range(1, 60):
        folder = tmp_path / str(last)
        left = [last]

        def limited(path, value, left=left):
            if not left[0]:
                raise KilledError
            left[0] -= 1
            write(path, value)

        monkeypatch.setattr(oracles, "write_json", limited)
        finished = {}
        killed = True
        try:
            oracle = oracle_in(folder, algorithm=algorithm, trials=4)
            while trial := step(oracle):
                finished[trial.trial_id] = dict(trial.hyperparameters.values)
            killed = False
        except KilledError:
            pass
        monkeypatch.setattr(oracles, "write_json", write)
        oracle = oracle_in(folder, algorithm=algorithm, trials=4)
        for trial_id, values in finished.items():
            assert oracle.trials[trial_id].status == "COMPLETED"
            assert oracle.trials[trial_id].hyperparameters.values == values
        while trial := step(oracle):
            assert trial.trial_id not in finished
        statuses = [trial.status for trial in oracle.trials.values()]
        assert statuses == ["COMPLETED"] * 4
        assert sorted(oracle.end_order) == sorted(oracle.trials)
        ends.add(str(combinations(oracle)))
        shutil.rmtree(folder)
        if not killed:
            break
    assert not killed
    if algorithm != "bayesian":  # the kill changes nothing of what is tried
        assert len(ends) == 1


def test_an_epoch_told_twice_counts_once(tmp_path):
    oracle = oracle_in(tmp_path / "s")
    trial = oracle.create_trial("w")
    for value in (3.0, 9.0):
        oracle.update_trial(trial.trial_id, {"val_loss": value}, step=0)
    (seen,) = trial.metrics.get_history("val_loss")
    assert seen.value == [3.0]


def test_a_full_disk_ends_it_for_all_threads(tmp_path, monkeypatch):
    """What is thrown within KerasTuner's methods would leave its lock taken."""

    def full(path, value):
        raise DiskFull(f"no room to write {path}")

    oracle = oracle_in(tmp_path / "s", trials=2)
    trial = oracle.create_trial("a")
    oracle.update_trial(trial.trial_id, {"val_loss": 1.0})
    with monkeypatch.context() as patched:
        patched.setattr("keras_dlparts.searching.oracles.write_json", full)
        with pytest.raises(DiskFull, match=r"trial\.json.* go on with --resume"):
            oracle.finish(trial, "COMPLETED")
    oracle.save()  # there is room again, but the files are to stay as one moment's
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(oracle.create_trial, "b")
        assert isinstance(asked.exception(timeout=20), DiskFull)
    again = oracle_in(tmp_path / "s", trials=2)
    assert again.create_trial("a").trial_id == trial.trial_id
    assert again.trials[trial.trial_id].status == "RUNNING"


def test_a_trial_ends_once(tmp_path):
    """A worker that was given up may still come back with its result."""
    oracle = oracle_in(tmp_path / "s")
    trial = oracle.create_trial("lost")
    oracle.release("lost")
    assert oracle.create_trial("other") is trial
    finish(oracle, trial)
    oracle.finish(trial, "FAILED", "late")
    assert oracle.trials[trial.trial_id].status == "COMPLETED"
    assert oracle.end_order == [trial.trial_id]


@pytest.mark.parametrize(("direction", "sign"), [("min", 1), ("max", -1)])
def test_the_median_rule(tmp_path, direction, sign):
    """Against the running means 3, 2, 4 of three trials, of median 3."""
    oracle = oracle_in(
        tmp_path / "s",
        median_rule=True,
        startup_trials=3,
        grace_epochs=2,
        trials=9,
        direction=direction,
    )

    def tell(trial, *values):
        for epoch, value in enumerate(values):
            metrics = {"val_loss": sign * value}
            reply = oracle.update_trial(trial.trial_id, metrics, step=epoch)
        return reply.status

    for curve in ((4.0, 2.0, 0.0), (2.0, 2.0, 0.0), (5.0, 3.0, 0.0)):
        trial = oracle.create_trial("w")
        assert tell(trial, *curve) == "RUNNING"
        oracle.finish(trial, "COMPLETED")
    trial = oracle.create_trial("w")
    assert tell(trial, 9.0) == "RUNNING"  # within the grace
    assert tell(trial, 9.0, 3.1) == "STOPPED"
    assert trial.status == "RUNNING"  # the trial itself ends as any other
    oracle.finish(trial, "COMPLETED")
    trial = oracle.create_trial("w")
    assert tell(trial, 9.0, 2.5) == "RUNNING"  # its best is better than the median
    assert tell(trial, 9.0, 2.5, 9.0) == "STOPPED"  # later the others were better


def test_kerastuners_files_are_its_own(tmp_path):
    oracle = oracle_in(tmp_path / "s", trials=2)
    step(oracle)
    state = json.loads((tmp_path / "s" / "trial_0" / "trial.json").read_text())
    assert state.keys() == oracle.trials["0"].get_state().keys()
