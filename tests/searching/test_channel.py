"""The channel between chief and workers, both ends in this process."""

import json

import pytest

from keras_dlparts.config.document import Document
from keras_dlparts.config.schema import Search
from keras_dlparts.config.whole_space import whole_space
from keras_dlparts.searching import channel
from keras_dlparts.searching.oracles import make_oracle

INT = {"search": "int", "min": 1, "max": 9}
NESTED = {
    "model": [
        {
            "repeat": {"search": "int", "min": 0, "max": 2},
            "of": [
                {
                    "search": "one_of",
                    "of": [
                        {"use": "A", "rate": {"search": "float", "min": 0, "max": 1}},
                        {"search": "one_of", "of": [{"use": "B", "units": INT}, "C"]},
                    ],
                }
            ],
        }
    ],
    "steps": {"search": "float", "min": 0.0, "max": 0.3, "step": 0.1},
    "flag": {"search": "bool"},
}


@pytest.fixture
def oracle(tmp_path):
    spaces = whole_space(Document(NESTED))
    settings = Search(seed=0, direction="min", trials=20, median_rule=True)
    return make_oracle(tmp_path, spaces, settings, 9)


@pytest.fixture
def server(oracle):
    with channel.Server(oracle, "127.0.0.1", "mark") as server:
        yield server


def client(server, worker="tuner0", mark="mark"):
    return channel.Client("127.0.0.1", server.port, worker, mark)


def test_values_of_a_nested_space_come_through_whole(oracle, server, tmp_path, capfd):
    worker = client(server)
    for _ in range(20):
        trial = worker.create_trial("tuner0")
        known = oracle.trials[trial.trial_id]
        before = json.loads(json.dumps(known.hyperparameters.get_config()))
        assert trial.hyperparameters.values == known.hyperparameters.values
        reply = worker.update_trial(trial.trial_id, {"val_loss": 0.1 + 1e-12}, step=3)
        assert reply.status == "RUNNING"
        worker.finish(trial, "COMPLETED", epochs=4, seconds=1.5)
        assert known.status == "COMPLETED"
        assert (known.score, known.best_step) == (0.1 + 1e-12, 3)
        path = tmp_path / f"trial_{trial.trial_id}" / "trial.json"
        assert json.loads(path.read_text())["hyperparameters"] == before
    assert oracle.notes[trial.trial_id] == {"epochs": 4, "seconds": 1.5}
    assert worker.create_trial("tuner0").status == "STOPPED"
    assert oracle.is_over()
    assert capfd.readouterr().out == ""  # KerasTuner prints what it sends


def test_why_a_trial_failed_comes_through(oracle, server):
    worker = client(server)
    trial = worker.create_trial("tuner0")
    worker.finish(trial, "FAILED", "Traceback ...", reason="no memory")
    known = oracle.trials[trial.trial_id]
    assert (known.status, known.message) == ("FAILED", "Traceback ...")
    assert oracle.notes[trial.trial_id] == {"reason": "no memory"}


def test_a_worker_that_comes_back_gets_its_trial_again(oracle, server):
    first = client(server, "a").create_trial("a")
    assert client(server, "b").create_trial("b").trial_id != first.trial_id
    assert client(server, "a").create_trial("a").trial_id == first.trial_id


def test_the_chief_hears_of_each_worker(server):
    client(server, "a").create_trial("a")
    assert [*server.heard] == ["a"]


def test_another_config_is_turned_away(oracle, server):
    with pytest.raises(channel.ChiefGone, match="searches another config"):
        client(server, mark="other").create_trial("tuner0")
    assert not oracle.trials


def test_what_chief_and_worker_must_have_alike():
    """What makes a trial and its score; how many train at once is a worker's own."""

    def mark(config, **settings):
        given = {"direction": "min", **settings}
        return channel.fingerprint(config, Search(**given))

    same = mark({"a": 1, "search": {}}, workers=4, isolate=True)
    assert mark({"a": 1, "name": "x"}) == same
    others = [mark({"a": 2}), mark({"a": 1}, objective="val_accuracy")]
    others.append(mark({"a": 1}, direction="max"))
    assert len({same, *others}) == 4


def test_a_worker_does_not_wait_for_ever(oracle, monkeypatch):
    with channel.Server(oracle, "127.0.0.1", "mark") as server:
        worker = client(server)
        worker.create_trial("tuner0")
    monkeypatch.setattr(channel, "PATIENCE", 0.5)
    with pytest.raises(channel.ChiefGone, match=r"no answer|went away"):
        worker.create_trial("tuner0")


def test_a_chief_that_ends_between_two_trials_was_done(oracle, monkeypatch):
    monkeypatch.setattr(channel, "PATIENCE", 0.5)
    with channel.Server(oracle, "127.0.0.1", "mark") as server:
        worker = client(server)
        worker.finish(worker.create_trial("tuner0"), "FAILED", "why")
    with pytest.raises(channel.ChiefDone):
        worker.create_trial("tuner0")


def test_an_address_that_is_none(oracle, server):
    with pytest.raises(OSError, match=r"cannot listen on 256\.0"):
        channel.Server(oracle, f"256.0.0.1:{server.port}", "mark")
