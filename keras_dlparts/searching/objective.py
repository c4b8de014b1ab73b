"""The objective of a search: told to the oracle after each epoch that has it.

The objective is a column of the history. One that no trial has, whatever is tried, is a
mistake in the config; it is found in the first trial at the latest and ends the search.
"""

import dataclasses
import math

import keras

from keras_dlparts.config.errors import ConfigError, Problem
from keras_dlparts.runs import BOOKKEEPING


class NoObjective(ConfigError):
    """The objective is no column of the history, whatever is tried."""


def no_objective(objective, known):
    """The error for an objective that is none of the known columns."""
    message = f"no column of the history. Received: {objective!r}; "
    message += f"accepted: {', '.join(known)}"
    return NoObjective([Problem("", (), "search.objective", message)])


def blamed(error):
    """The error of a trial, as one about the objective where that is the cause.

    A trial's `best.monitor` is the objective where the config names none, so what is
    wrong with the one is wrong with the other.
    """
    problems = getattr(error, "problems", ())
    if not any(problem.path == "best.monitor" for problem in problems):
        return error
    return NoObjective(
        dataclasses.replace(problem, path="search.objective") for problem in problems
    )


class Watcher(keras.callbacks.Callback):
    """Tells the oracle of each epoch, and stops what the oracle finds hopeless.

    Args:
        oracle: an oracle, or the client of one.
        trial: the trial that is trained.
        objective: the column of the history that decides.
        on_epoch: called as `on_epoch(trial_id, epoch, epochs, metrics)`.

    Attributes:
        hopeless: whether the oracle stopped the trial.
        steps: how many steps an epoch has.
    """

    def __init__(self, oracle, trial, objective, on_epoch):
        super().__init__()
        self.oracle, self.trial, self.objective = oracle, trial, objective
        self.on_epoch = on_epoch
        self.told, self.hopeless, self.steps = set(), False, 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps = batch + 1

    def on_epoch_end(self, epoch, logs=None):
        self.on_epoch(self.trial.trial_id, epoch + 1, self.params["epochs"], logs)
        if self.tell(epoch, logs):
            self.hopeless = self.model.stop_training = True

    def tell(self, epoch, metrics):
        """Report an epoch; returns whether the trial is hopeless after it."""
        metrics = {
            name: float(value)
            for name, value in metrics.items()
            if name not in BOOKKEEPING and math.isfinite(value)
        }
        if self.objective not in metrics:  # an epoch without validation
            return False
        self.told.add(epoch)
        reply = self.oracle.update_trial(self.trial.trial_id, metrics, step=epoch)
        return reply.status == "STOPPED"

    def tell_missing(self, history):
        """Report the epochs of a run that were trained before this process began."""
        for epoch in range(len(history["epoch"])):
            if epoch not in self.told:
                self.tell(epoch, {name: row[epoch] for name, row in history.items()})
        if not self.told:
            if self.objective in history:
                raise ValueError(
                    f"the objective {self.objective!r} was a finite number in no epoch"
                )
            known = [name for name in history if name not in BOOKKEEPING]
            raise no_objective(self.objective, known)
