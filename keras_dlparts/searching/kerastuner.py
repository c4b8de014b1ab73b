"""KerasTuner, imported when it is needed; all that is not its public API is in here.

Each function says what it reads of KerasTuner 1.4.8 that is private, and what for;
`tests/searching/test_kerastuner.py` has a test for each.

`import keras_tuner` fails late and oddly where its undeclared needs are missing, so
they are asked for first.
"""

import importlib
import importlib.util


def load():
    """The package keras_tuner. Raises ImportError naming the extra to install."""
    needs = ("keras_tuner", "tensorboard", "sklearn", "scipy", "six", "grpc")
    missing = [name for name in needs if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f"A search needs {', '.join(missing)}, which {'is' * (len(missing) == 1)}"
            f"{'are' * (len(missing) > 1)} not installed. Install what it needs: "
            "pip install 'keras-dlparts[tune]'"
        )
    # It prints every condition that it sends to a worker, or back.
    conditions = importlib.import_module("keras_tuner.src.engine.conditions")
    conditions.print = lambda *_: None
    return importlib.import_module("keras_tuner")


def parent(name, values):
    """The condition that the hyperparameter `name` has one of these values."""
    conditions = importlib.import_module("keras_tuner.src.engine.conditions")
    return conditions.Parent(name, [*values])


def set_folder(oracle, folder):
    """Let an oracle keep its files in a folder. A `Tuner` does so, and we have none."""
    oracle._set_project_dir(str(folder.parent), folder.name)


class SavesTrials:
    """For oracles that write a trial's file themselves: they define `save_trial`.

    KerasTuner's own is not whole when the process is killed meanwhile.
    """

    def _save_trial(self, trial):
        self.save_trial(trial)


def retries(oracle):
    """The ids of trials that the next worker gets before new ones, as a live list.

    `end_trial` appends to it, and only for a trial that failed.
    """
    return oracle._retry_queue


def mark_as_tried(oracle, trial):
    """Let an oracle propose the values of a trial never again."""
    oracle._record_values(trial)


def round_sizes(oracle):
    """How many trials each round of each of Hyperband's brackets takes."""
    brackets = range(oracle._get_num_brackets())
    return [oracle._get_size(b, r) for b in brackets for r in range(b + 1)]


def grid_order(oracle):
    """The ids of a grid search's trials, in the order of the grid.

    The oracle keeps it as a linked list, and its `get_state` leaves it out.
    """
    order = oracle._ordered_ids
    ids, index = [], order._next_index[None]
    while index is not None:
        ids.append(order._memory[index])
        index = order._next_index[index]
    return ids


def append_to_grid(oracle, ids):
    """Give an empty grid search the trials that it had, in the order of the grid."""
    before = None
    for trial_id in ids:
        oracle._ordered_ids.insert(trial_id, before)
        before = trial_id


def set_grid_starts(oracle, ids):
    """Say after which trials a grid search looks for the next place not tried."""
    oracle._populate_next = ids


def servicer(oracle):
    """(KerasTuner's gRPC servicer for an oracle, the function that adds it)."""
    chief = importlib.import_module("keras_tuner.src.distribute.oracle_chief")
    protos = importlib.import_module("keras_tuner.src.protos")
    add = protos.get_service_grpc().add_OracleServicer_to_server
    return chief.OracleServicer(oracle), add


def messages():
    """The module with the messages of KerasTuner's channel."""
    return importlib.import_module("keras_tuner.src.protos").get_service()


def stub(channel):
    """The calls that a worker may make over a channel."""
    protos = importlib.import_module("keras_tuner.src.protos")
    return protos.get_service_grpc().OracleStub(channel)


def trial_class():
    """The class of a trial, which reads one from its file."""
    return importlib.import_module("keras_tuner.engine.trial").Trial
