"""KerasTuner, imported when it is needed, and what is used of it that is not public.

Every other file asks here, so that a new version of KerasTuner is met in one place.
Each function says what it needs and why nothing public does; `Since` is the first
version of KerasTuner that has the name as it is used here. The tests hold one test for
each in `tests/searching/test_kerastuner.py`, which fails when the name is gone or has
come to mean something else.
"""

import importlib
import importlib.util


def load():
    """The package keras_tuner. Raises ImportError naming the extra to install.

    `import keras_tuner` fails late and oddly where packages are missing that it does
    not declare, so they are asked for first.
    """
    needs = ("keras_tuner", "tensorboard", "sklearn", "scipy", "six", "grpc")
    missing = [name for name in needs if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f"A search needs {', '.join(missing)}, which {'is' * (len(missing) == 1)}"
            f"{'are' * (len(missing) > 1)} not installed. Install what it needs: "
            "pip install 'keras-dlparts[tune]'"
        )
    _conditions().print = lambda *_: None
    return importlib.import_module("keras_tuner")


def trial_class():
    """`Trial`, which is public."""
    return load().engine.trial.Trial


def _conditions():
    """The module of conditions. It prints each one that it sends or receives, by a
    `print` left in `Parent.to_proto`, which `load` replaces. Since 1.4.0."""
    return importlib.import_module("keras_tuner.src.engine.conditions")


# Hyperparameters.


def parent(name, values):
    """The condition that the hyperparameter `name` has one of these values.

    Publicly there is the context `hp.conditional_scope` only, which cannot be given to
    a hyperparameter that is made on its own. Since 1.4.0.
    """
    return _conditions().Parent(name, [*values])


# Oracles.


def set_folder(oracle, folder):
    """Let an oracle keep its files in a folder.

    Publicly a tuner does it, when it is made; here there is no tuner. Since 1.1.3.
    """
    oracle._set_project_dir(str(folder.parent), folder.name)


class SavesTrials:
    """A base of oracles that write their trials by a method of their own.

    KerasTuner calls `_save_trial(trial)` whenever a trial has changed, and writes the
    file in place, so that a kill may leave half of it. A subclass defines
    `save_trial(trial)` instead. Since 1.1.3.
    """

    def _save_trial(self, trial):
        self.save_trial(trial)


def waiting(oracle):
    """The ids of the trials that the next workers are given before any new one.

    A list that may be changed in place; KerasTuner takes from its end. There is no
    public way to have a trial tried again that was not its own failure. Since 1.2.0.
    """
    return oracle._retry_queue


def note_tried(oracle, trial):
    """Let an oracle know a trial's values as tried, so as not to propose them again.

    Publicly an oracle knows only the trials that it proposed itself. Since 1.2.0.
    """
    oracle._record_values(trial)


def hyperband_sizes(oracle):
    """How many trials each round of each bracket of Hyperband has.

    They follow from `max_epochs` and `factor`, by rounding that is best not repeated
    elsewhere. Since 1.1.3.
    """
    brackets = range(oracle._get_num_brackets())
    return [oracle._get_size(b, r) for b in brackets for r in range(b + 1)]


def grid_order(oracle):
    """The ids of a grid's trials in the order of the grid.

    The grid proposes what comes after a trial in this order. `get_state` leaves it
    out. Since 1.2.0.
    """
    order = oracle._ordered_ids
    ids, index = [], order._next_index[None]
    while index is not None:
        ids.append(order._memory[index])
        index = order._next_index[index]
    return ids


def set_grid_order(oracle, ids):
    """Give a new oracle of a grid the order that another one had. Since 1.2.0."""
    before = None
    for trial_id in ids:
        oracle._ordered_ids.insert(trial_id, before)
        before = trial_id


def set_grid_sources(oracle, ids):
    """Say after which trials a grid is to look for the next one to propose.

    It passes over those whose successor is in the order already. `get_state` leaves
    them out. Since 1.2.0.
    """
    oracle._populate_next = [*ids]


# The channel between a chief's oracle and its workers.


def servicer(oracle):
    """(the servicer of an oracle, the function that adds one to a gRPC server).

    Publicly a chief is a process that does nothing else, started by environment
    variables. The functions of `protos` are there since 1.3.5, the path since 1.4.0.
    """
    chief = importlib.import_module("keras_tuner.src.distribute.oracle_chief")
    add = _protos().get_service_grpc().add_OracleServicer_to_server
    return chief.OracleServicer(oracle), add


def messages():
    """The module with the messages of the channel. Since 1.4.0."""
    return _protos().get_service()


def stub(channel):
    """The calls that a worker may make over a channel. Since 1.4.0."""
    return _protos().get_service_grpc().OracleStub(channel)


def _protos():
    return importlib.import_module("keras_tuner.src.protos")
