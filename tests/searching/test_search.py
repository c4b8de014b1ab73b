"""Searches that train, in this process."""

import errno
import json
import re
import shutil

import numpy as np
import pytest
import yaml
from helpers.browser import on_a_phone

import keras_dlparts
from keras_dlparts import ConfigError, SearchFailed, search, train
from keras_dlparts.data import Spirals
from keras_dlparts.runs import Run
from keras_dlparts.searching import hypermodel, pictures, report
from keras_dlparts.searching.folder import Folder
from keras_dlparts.searching.fork import beside
from keras_dlparts.searching.request import Request
from keras_dlparts.support import files


def refused(*args, **kwargs):
    with pytest.raises(ConfigError) as caught:
        search(*args, **kwargs)
    return str(caught.value)


@pytest.mark.long
def test_the_best_is_the_best(found):
    assert found.state == "done"
    assert len(found.completed) == 10
    assert found.best.score == min(trial.score for trial in found.trials)
    history = found.best.run.history
    assert found.best.score == pytest.approx(min(history["val_loss"]))
    assert keras_dlparts.Search(found.path).best == found.best
    assert "best val_loss" in repr(found)


def test_a_trial_is_a_run(found):
    for trial in found.trials:
        run = trial.run
        assert run.status["state"] == "done"
        assert run.best()[0] == "val_loss"
        assert run.model.count_params()
        assert (trial.path / "report.html").exists()
        assert (trial.path / "config.yaml").exists()
        assert "search" not in (trial.path / "config.yaml").read_text()
        rate = run.config["optimizer"]["learning_rate"]
        assert rate == trial.values["optimizer.learning_rate"]
        assert run.config["model"][0]["use"].endswith(trial.values["model[0]"])


def test_the_winner_is_repeated(found, tmp_path):
    run = train(found.best_config, out=tmp_path)
    assert run.history["val_loss"] == found.best.run.history["val_loss"]


@pytest.mark.long
def test_the_winner_is_repeated_where_the_data_draw(tmp_path):
    """A layer that changes the data takes a seed when it is made, which in a search is
    before the trial's own training begins."""
    noise = {"use": "GaussianNoise", "stddev": 0.5}
    units = {"search": "choice", "values": [3, 4]}
    config = {
        "data": {"use": "digits", "samples": 100, "transform": [noise]},
        "model": [{"use": "Dense", "units": units}, {"use": "Dense", "units": 10}],
        "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
    }
    done = search(config, out=tmp_path / "s", algorithm="grid")
    for trial in done.trials:
        again = train(trial.path / "config.yaml", out=tmp_path / "again")
        assert again.history["loss"] == trial.run.history["loss"]


def test_a_winner_trained_elsewhere_is_written_too(found):
    """Its folder is on the other machine; its values say the same config."""
    from keras_dlparts.searching.summary import _winner

    written = yaml.safe_load(yaml.safe_dump(_winner(found)))
    assert written == yaml.safe_load(found.best_config.read_text())


# KerasTuner's own weights hold the optimizer's too, which a new model has not yet.
@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
def test_kerastuners_tools_open_it(found, config, tmp_path, capsys):
    import keras_tuner

    shutil.copytree(found.path, tmp_path / "small")
    tuner = keras_tuner.RandomSearch(
        hypermodel(config),
        objective="val_loss",
        directory=tmp_path,
        project_name="small",
    )
    (best,) = tuner.get_best_hyperparameters(1)
    values = {
        "model[0]": best.values["model[0]"],
        "optimizer.learning_rate": best.values["optimizer.learning_rate"],
    }
    assert values.items() <= found.best.values.items()
    tuner.results_summary(3)
    assert f"Trial {found.best.trial_id} summary" in capsys.readouterr().out
    (model,) = tuner.get_best_models(1)
    data = Spirals(samples=60)
    loss, _ = model.evaluate(data.validation, verbose=0)
    assert loss == pytest.approx(found.best.score, rel=1e-4)


def test_tensorboard_reads_its_hparams(found):
    """By TensorBoard's own loader: the space once, and a session a trial."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata

    def content(folder):
        events = EventAccumulator(str(folder / "tensorboard"))
        events.Reload()
        return events.PluginTagToContent("hparams"), events.Tags()["scalars"]

    space, _ = content(found.path)
    experiment = metadata.parse_experiment_plugin_data(space[metadata.EXPERIMENT_TAG])
    names = {info.name for info in experiment.hparam_infos}
    assert names == {space.name for space in found.spaces}
    for trial in found.trials:
        session, scalars = content(trial.path)
        start = metadata.parse_session_start_info_plugin_data(
            session[metadata.SESSION_START_INFO_TAG]
        )
        rate = start.hparams["optimizer.learning_rate"].number_value
        assert rate == pytest.approx(trial.values["optimizer.learning_rate"])
        assert metadata.SESSION_END_INFO_TAG in session
        assert "val_loss" in scalars


def test_of_very_many_trials_the_best_and_some_others_are_drawn(found, monkeypatch):
    monkeypatch.setattr(pictures, "_ALL_CURVES", 5)
    svg = pictures.learning(found)
    for trial in found.ranked()[:2]:
        assert f"trial {trial.trial_id}" in svg
    assert re.search(r"val_loss by epoch, (\d+) curves", svg)[1] in ("5", "6")


@pytest.mark.slow
def test_the_report_on_a_phone(found, tmp_path):
    seen = on_a_phone(found.path / "report.html", tmp_path)
    assert seen.pop("tip")[0].startswith("trial ")
    assert seen == {"beyond": 0, "cut": 0, "small": 0}


def test_trials_as_records_and_as_a_data_frame(found):
    rows = found.records()
    assert [row["trial"] for row in rows] == [t.trial_id for t in found.trials]
    best = min(rows, key=lambda row: row[found.objective])
    if found.maximise:
        best = max(rows, key=lambda row: row[found.objective])
    assert best["trial"] == found.best.trial_id
    assert best["state"] == "done"
    frame = found.trials_dataframe()
    assert len(frame) == 10
    assert {space.name for space in found.spaces} <= {*frame.columns}


def test_the_best_model_is_that_of_the_best_trial(found):
    weights = found.best.model.get_weights()
    again = Run(found.best.path).model.get_weights()
    for one, other in zip(weights, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert found.best.model is found.best.model


def test_a_notebook_shows_a_search(found):
    shown = found._repr_html_()
    assert "Best val_" in shown
    assert "10 curves" in shown
    assert "<script" not in shown


def test_the_report(found):
    page = (found.path / "report.html").read_text()
    for said in (
        "Best val_",
        "the best so far going from",
        "importance: ",
        "A random forest of 64 trees",
        "10 trials as lines over",
        f"+ optimizer.learning_rate: {found.best.values['optimizer.learning_rate']}"[
            :40
        ],
        "dlparts train best/config.yaml",
        f'<a href="trial_{found.best.trial_id}/report.html">',
    ):
        assert said in page, said
    assert page.count("<script") == 1  # the one that shows values under the pointer
    assert "val_loss by epoch, 10 curves" in page
    # Each picture is there for a wide page and for a phone.
    assert page.count('<div class="wide">') == page.count('<div class="narrow">') == 4
    assert page == report.write(found.path).read_text()


@pytest.mark.slow
def test_it_goes_on(config, tmp_path):
    path = tmp_path / "s"
    first = search(config, out=path, trials=1)
    more = search(config, out=path, trials=3, resume=True)
    assert more.trials[0].score == first.trials[0].score
    whole = search(config, out=tmp_path / "whole", trials=3)
    scores = [trial.score for trial in whole.trials]
    assert scores == [trial.score for trial in more.trials]
    assert more.seconds > first.seconds


@pytest.mark.slow
def test_an_interrupted_trial_goes_on_to_the_same_end(config, tmp_path, monkeypatch):
    """Ctrl-C after the first epoch of the second trial."""
    from keras_dlparts.searching import objective

    whole = search(config, out=tmp_path / "whole", trials=2)
    tell, told = objective.Watcher.tell, []

    def interrupted(self, *args):
        told.append(tell(self, *args))
        if len(told) == 3:
            raise KeyboardInterrupt
        return told[-1]

    monkeypatch.setattr(objective.Watcher, "tell", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search(config, out=tmp_path / "s", trials=2)
    stopped = keras_dlparts.Search(tmp_path / "s")
    assert (stopped.state, len(stopped.completed)) == ("stopped", 1)
    monkeypatch.setattr(objective.Watcher, "tell", tell)
    again = search(config, out=tmp_path / "s", trials=2, resume=True)
    assert [t.score for t in again.trials] == [t.score for t in whole.trials]
    assert [t.curve for t in again.trials] == [t.curve for t in whole.trials]


@pytest.mark.long
def test_an_objective_of_validation_counts_where_it_ran(config, tmp_path):
    """With validation in every second epoch: after two epochs of three."""
    config["fit"] = {"epochs": 3, "validation_freq": 2}
    found = search(config, out=tmp_path / "s", trials=2)
    assert len(found.completed) == 2, [trial.notes for trial in found.trials]
    for trial in found.completed:
        assert trial.curve == ((2, trial.score),)
        assert trial.notes["epochs"] == 3


@pytest.mark.long
def test_an_objective_of_validation_that_does_not_run_is_refused(config, tmp_path):
    config["fit"] = {"epochs": 9, "validation_freq": 2}
    told = refused(config, out=tmp_path / "s", algorithm="hyperband")
    assert "fit.validation_freq" in told
    assert "hyperband compares trials after rounds of few epochs" in told
    config["fit"]["epochs"] = 1
    told = refused(config, out=tmp_path / "s")
    assert "validation never runs in 1 epochs; the objective is 'val_loss'" in told
    assert told.endswith("Received: 2")
    found = search(config, out=tmp_path / "s", trials=1, objective="loss")
    assert found.completed


@pytest.mark.long
def test_a_search_goes_on_from_the_config_in_its_own_folder(
    config, tmp_path, monkeypatch
):
    given = tmp_path / "small.yaml"
    (tmp_path / "t.csv").write_text("a,c\n" + "1.5,0\n2.5,1\n" * 9)
    config["data"] = {"use": "csv", "path": "t.csv", "target": "c"}
    given.write_text(yaml.safe_dump({**config, "fit": {"epochs": 1}}))
    first = search(given, out=tmp_path / "s", trials=1)
    monkeypatch.chdir(tmp_path / "s")
    # The folder, the name and what paths are relative to are those of the search.
    again = search("config.yaml", trials=2, resume=True)
    assert len(again.completed) == 2
    assert again.path.resolve() == first.path.resolve()
    assert again.config["name"] == "small"
    assert again.trials[1].run.config["name"] == "small"
    assert (tmp_path / "s" / "config.yaml").read_text() == given.read_text()


@pytest.mark.long
def test_a_fork_that_is_stopped_says_how_it_goes_on(config, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    given, out = tmp_path / "small.yaml", tmp_path / "s"
    given.write_text(yaml.safe_dump({**config, "fit": {"epochs": 1}}))
    search(given, out=out, trials=1)
    with monkeypatch.context() as patched:
        patched.setattr("keras_dlparts.searching.trial.work", stop)
        with pytest.raises(KeyboardInterrupt) as stopped:
            search(given, out=out, trials=2, fork=True)
    (note,) = stopped.value.__notes__
    assert note == f"Continue with --out {out}-2 --resume in place of --fork"
    again = search(given, out=f"{out}-2", trials=2, resume=True)
    assert len(again.completed) == 2
    assert not (tmp_path / "s-3").exists()


@pytest.mark.long
def test_a_failing_trial_says_why_and_the_search_goes_on(config, tmp_path, capsys):
    """A learning rate of 1e30 is not finite; the others are good."""
    config["optimizer"]["learning_rate"] = {"search": "choice", "values": [1e-2, 1e30]}
    config["optimizer"]["use"] = "SGD"
    found = search(config, out=tmp_path / "s", trials=4)
    assert found.state == "done"
    assert found.failed
    assert found.completed
    for trial in found.failed:
        assert trial.values["optimizer.learning_rate"] == 1e30
        assert "not finite" in trial.notes["reason"]
        assert "NonFiniteError" in (trial.path / "traceback.txt").read_text()
        state = json.loads((trial.path / "trial.json").read_text())
        assert "Traceback" in state["message"]
        assert Run(trial.path).status["state"] == "failed"
    assert "not finite" in (found.path / "report.html").read_text()
    assert re.search(r"trial \d  failed: .*not finite", capsys.readouterr().err)


@pytest.mark.long
def test_a_full_disk_ends_the_search_and_fails_no_trial(config, tmp_path, monkeypatch):
    """It is full from the last save of the first trial on, for every file."""
    config["fit"]["epochs"] = 1

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        replace = files.os.replace

        def until_the_end(partial, path):
            if path.name == "last.keras":
                patched.setattr(files.os, "replace", full)
                full()
            replace(partial, path)

        patched.setattr(files.os, "replace", until_the_end)
        with pytest.raises(files.DiskFull, match=r"Make room and go on with --resume"):
            search(config, out=tmp_path / "s", trials=2)
    stopped = keras_dlparts.Search(tmp_path / "s")
    assert [trial.status for trial in stopped.trials] == ["RUNNING"]
    again = search(config, out=tmp_path / "s", trials=2, resume=True)
    assert len(again.completed) == 2


@pytest.mark.slow
def test_when_all_fail_the_search_has_failed(config, tmp_path):
    config["optimizer"] = {"use": "SGD", "learning_rate": 1e30}
    with pytest.raises(SearchFailed, match=r"none of 2 trials .* not finite"):
        search(config, out=tmp_path / "s", trials=2)
    assert keras_dlparts.Search(tmp_path / "s").state == "failed"


@pytest.mark.study
def test_hyperband_goes_on_where_a_trial_stood(config, tmp_path):
    """A trial promoted to three epochs ends as one trained for three in one go."""
    config["fit"]["epochs"] = 3
    found = search(config, out=tmp_path / "s", algorithm="hyperband")
    promoted = [t for t in found.trials if "tuner/trial_id" in t.values]
    assert promoted
    for trial in promoted:
        past = found.path / f"trial_{trial.values['tuner/trial_id']}"
        assert trial.run.history["loss"][:1] == Run(past).history["loss"]
        assert len(trial.run.history["loss"]) == 3
    config_of = promoted[0].path / "resolved.yaml"
    whole = train(config_of, out=tmp_path / "runs")
    assert whole.history["val_loss"] == promoted[0].run.history["val_loss"]


@pytest.mark.long
def test_a_changed_space_is_refused_with_the_difference(config, tmp_path):
    path = tmp_path / "s"
    search(config, out=path, trials=1)
    config["model"][0]["of"][0]["units"]["max"] = 5
    told = refused(config, out=path, trials=1, resume=True)
    assert "is a search of another config" in told
    assert re.search(r"^-\s+max: 9$", told, re.M)
    assert re.search(r"^\+\s+max: 5$", told, re.M)
    assert "--fork" in told


@pytest.mark.study
def test_a_fork_takes_over_what_fits(config, tmp_path):
    path = tmp_path / "s"
    old = search(config, out=path, trials=4)
    rates = sorted(t.values["optimizer.learning_rate"] for t in old.trials)
    middle = (rates[1] + rates[2]) / 2
    config["optimizer"]["learning_rate"]["max"] = middle
    new = search(config, out=path, trials=4, fork=True)
    assert new.path == tmp_path / "s-2"
    assert beside(path) == tmp_path / "s-3"
    taken = [trial for trial in new.trials if "taken_from" in trial.notes]
    assert len(new.trials) == 4
    assert sorted(t.values["optimizer.learning_rate"] for t in taken) == rates[:2]
    scores = {trial.score for trial in old.trials}
    assert {trial.score for trial in taken} < scores
    assert len(keras_dlparts.Search(path).trials) == 4


@pytest.mark.long
def test_scores_of_another_objective_or_of_other_data_are_not_taken_over(
    config, tmp_path, capsys
):
    """Their scores do not compare, and the model that they kept is another one."""
    table = tmp_path / "t.csv"
    table.write_text("a,c\n" + "1.5,0\n2.5,1\n" * 9)
    config["data"] = {"use": "csv", "path": str(table), "target": "c"}
    config["fit"]["epochs"] = 1
    out = tmp_path / "s"
    first = search(config, out=out, trials=1)

    def taken(**changed):
        found = search(config, out=out, trials=1, fork=True, **changed)
        trial = found.trials[0]
        said = json.loads((found.path / "search.json").read_text())
        assert ("taken_from" in trial.notes) == said["taken_over"]
        if trial.run.best()[0] == found.objective:
            history = trial.run.history[found.objective]
            assert trial.score == pytest.approx(history[trial.run.best()[1]])
        return said["taken_over"]

    assert taken() == 1
    assert taken(objective="val_accuracy") == 0
    told = f"no trial of {out} is taken over: "
    said = "the objective was 'val_loss', and is 'val_accuracy' now"
    assert told + said in capsys.readouterr().err
    assert taken(sets=["search.direction=max"]) == 0
    assert "the direction was 'min', and is 'max' now" in capsys.readouterr().err
    assert taken(sets=["best={monitor: val_loss, mode: min}"]) == 1  # says the same
    assert taken(sets=["best={monitor: val_accuracy}"]) == 0
    table.write_text("a,c\n" + "3.5,0\n2.5,1\n" * 9)
    assert taken() == 0
    assert f"{told}train x has other values" in capsys.readouterr().err
    told = refused(config, out=out, trials=2, resume=True)
    assert f"{out} is a search of other data: train x has other values" in told
    assert len(keras_dlparts.Search(out).trials) == len(first.trials)


@pytest.mark.long
def test_two_searches_in_one_folder(config, tmp_path):
    path = tmp_path / "s"
    search(config, out=path, trials=1)
    assert "holds a search. Add --resume" in refused(config, out=path, trials=1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    assert "is not empty and holds no search" in refused(config, out=tmp_path / "full")
    with Folder(path):
        told = refused(config, out=path, trials=2, resume=True)
    assert re.search(r"process \d+ is searching here", told)


def test_a_folder_in_which_a_kill_came_first_is_free(tmp_path):
    """Before the first search.json was written to its end."""
    (tmp_path / ".partial-12-search.json").write_text("{")
    with Folder(tmp_path) as folder:
        folder.check_free()
        assert [path.name for path in tmp_path.iterdir()] == ["search.lock"]


@pytest.mark.long
def test_an_objective_whose_name_tells_another_direction(config, tmp_path):
    overlap = {"use": "MeanIoU", "num_classes": 2, "sparse_y_pred": False}
    config["metrics"] = [overlap | {"name": "overlap"}]
    told = refused(config, out=tmp_path / "s", objective="val_overlap")
    assert told.startswith("search.direction")
    assert "'val_overlap' is better high, which its name does not tell" in told
    for sets in (["search.direction=min"], ["best={monitor: val_overlap, mode: max}"]):
        Request(config, [*sets, "search.objective=val_overlap"]).check()


def test_nothing_is_written_for_a_config_that_cannot_be(config, tmp_path):
    path = tmp_path / "s"
    config["search"] = {"objective": "val_los"}
    told = refused(config, out=path, trials=1)
    assert "search.objective" in told
    assert "Received: 'val_los'; accepted: loss, accuracy, val_loss" in told
    assert not path.exists()
    config["model"] = [{"use": "Dense", "units": 2}]
    config["optimizer"] = "Adam"
    assert "nothing in the config is searched" in refused(config, out=path)
    del config["search"]
    config["fit"]["epochs"] = {"search": "int", "min": 1, "max": 2}
    told = refused(config, out=path, algorithm="hyperband")
    assert "hyperband says how long to train" in told
    told = refused(config, out=path, algorithm="hyperband", median_rule=True)
    assert "hyperband stops trials itself" in told
    assert "search.algorithm" in refused(config, out=path, algorithm="genetic")
    assert "search.trials" in refused(config, out=path, trials=0)


def test_a_search_without_workers_that_none_can_join_is_refused(config, tmp_path):
    said = "at least 1 without `listen`, by which others join. Received: 0"
    assert said in refused(config, out=tmp_path / "s", workers=0)
    config["search"] = {"workers": 0}
    assert said in refused(config, out=tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_an_objective_that_only_a_callback_could_give(config, tmp_path):
    """It is not known before training; the first trial tells, and ends the search."""
    config["callbacks"] = ["TerminateOnNaN"]
    config["search"] = {"objective": "sharpness"}
    told = refused(config, out=tmp_path / "s", trials=3)
    assert "Received: 'sharpness'; accepted: " in told
    assert keras_dlparts.Search(tmp_path / "s").state == "failed"


@pytest.mark.slow
def test_the_median_rule_saves_steps(config, tmp_path):
    config["fit"]["epochs"] = 4
    config["optimizer"] = {
        "use": "Adam",
        "learning_rate": {"search": "choice", "values": [0.05, 0.02, 1e-6, 1e-7]},
    }
    config["search"] = {
        "median_rule": True, "startup_trials": 2, "seed": 1, "trials": 8
    }  # fmt: skip
    found = search(config, out=tmp_path / "s")
    early = [trial for trial in found.trials if "steps_saved" in trial.notes]
    assert early
    steps = 2  # 54 samples in batches of 32
    for trial in early:
        assert trial.notes["epochs"] < 4
        assert trial.notes["steps_saved"] == steps * (4 - trial.notes["epochs"])
        assert "stopped by the median rule" in Run(trial.path).status["message"]
    assert found.steps_saved == sum(t.notes["steps_saved"] for t in early)
    assert found.best not in early
    page = (found.path / "report.html").read_text()
    assert "Steps saved" in page
    assert f"by the median rule, in {len(early)} trials" in page


@pytest.mark.slow
def test_a_trials_batch_size_and_epochs_are_searched(config, tmp_path):
    config["data"]["batch_size"] = {"search": "choice", "values": [16, 32]}
    config["fit"]["epochs"] = {"search": "choice", "values": [1, 2]}
    found = search(config, out=tmp_path / "s", trials=4)
    seen = set()
    for trial in found.trials:
        run = trial.run
        assert run.config["data"]["batch_size"] == trial.values["data.batch_size"]
        assert len(run.history["loss"]) == trial.values["fit.epochs"]
        seen.add((trial.values["data.batch_size"], trial.values["fit.epochs"]))
    assert len(seen) > 1


@pytest.mark.long
def test_what_best_says_of_the_objective_holds(config, tmp_path):
    config["best"] = {"monitor": "val_loss", "mode": "max"}
    config["model"] = [{"use": "Dense", "units": 2}]
    found = search(config, out=tmp_path / "s", trials=2)
    assert found.maximise
    assert found.best.score == max(trial.score for trial in found.trials)


@pytest.mark.long
def test_the_settings_may_stand_in_the_file(config, tmp_path, monkeypatch):
    config["search"] = {"algorithm": "grid", "trials": 2, "objective": "val_accuracy"}
    config["name"] = "named"
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.chdir(tmp_path)
    found = search("c.yaml")
    assert str(found.path) == "searches/named"
    assert found.maximise
    assert found.best.score == max(trial.score for trial in found.trials)
    assert found.trials[0].values["optimizer.learning_rate"] == 1e-3  # the default
    assert (found.path / "config.yaml").read_text() == yaml.safe_dump(config)
    for trial in found.trials:
        assert trial.run.best()[0] == "val_accuracy"


def test_who_gives_a_search_for_a_run_is_told_of_its_best(found):
    assert found.best.path != found.trials[-1].path  # else this tells nothing
    with pytest.raises(FileNotFoundError) as told:
        Run(found.path)
    assert f"did you mean {str(found.best.path)!r}?" in str(told.value)
