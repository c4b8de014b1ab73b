"""A changed search begins beside the old one, with the finished trials that fit it."""

import json
import shutil

import yaml

from keras_dlparts.config.experiment import settled
from keras_dlparts.searching import kerastuner
from keras_dlparts.searching.folder import changed_data
from keras_dlparts.searching.oracles import keep_the_scored
from keras_dlparts.searching.space import chooser
from keras_dlparts.training.folder import comparable, read_resolved


def beside(path):
    """The first free folder name-2, name-3, ... beside a folder."""
    number = 2
    while path.with_name(f"{path.name}-{number}").exists():
        number += 1
    return path.with_name(f"{path.name}-{number}")


def unlike(before, now):
    """Why the scores of two searches do not compare, in words; None where they do.

    Args:
        before, now: what search.json says of either.
    """
    for key in ("objective", "direction"):
        was, wanted = before["settings"][key], now["settings"][key]
        if was != wanted:
            return f"the {key} was {was!r}, and is {wanted!r} now"
    return changed_data(before, now)


def take_over(source, oracle, document, given, settings):
    """Copy another search's finished trials that fit this one; returns how many.

    A trial fits if its values, put into the new config, give the config that was
    trained; the searches must not be `unlike`. Hyperband and the grid propose trials in
    an order that depends on all earlier ones, so they take none.
    """
    if settings.algorithm in ("hyperband", "grid"):
        return 0
    taken = 0
    for path in sorted(source.glob("trial_*/trial.json")):
        state = json.loads(path.read_text(encoding="utf-8"))
        full = settings.trials is not None and taken == settings.trials
        if state["status"] != "COMPLETED" or full:
            continue
        values = state["hyperparameters"]["values"]
        if not _fits(values, path.parent, document, given, settings):
            continue
        trial_id = str(taken).zfill(len(str(settings.trials)))
        folder = oracle.folder / f"trial_{trial_id}"
        shutil.copytree(path.parent, folder)
        hp = oracle.get_space()
        hp.values = values
        state |= {"trial_id": trial_id, "hyperparameters": hp.get_config()}
        trial = kerastuner.trial_class().from_state(json.loads(json.dumps(state)))
        oracle.adopt(trial, path.parent.name)
        taken += 1
    oracle.save()
    return taken


def _fits(values, folder, document, given, settings):
    """Whether values, put into the new space, give the config that was trained."""
    asked = set()

    def choose(name, spec):
        asked.add(name)
        value = values[name]
        if spec["search"] in ("int", "float") and not (
            spec["min"] <= value <= spec["max"]
        ):
            raise ValueError(name)
        return chooser(values)(name, spec)

    try:
        trained = read_resolved(folder)
        experiment = settled(document, given, choose)
    except (OSError, KeyError, ValueError):  # a name that is new, a branch that is gone
        return False
    if trained is None:
        return False
    keep_the_scored(experiment.settings.best, settings)
    now = yaml.safe_load(yaml.safe_dump(experiment.resolved()))
    same_length = now["fit"]["epochs"] == trained["fit"]["epochs"]
    same = comparable(now) == comparable(trained)
    return same and same_length and asked == {*values}
