"""KerasTuner, imported when it is needed; all that is not its public API is in here.

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
    """Let an oracle keep its files in a folder."""
    oracle._set_project_dir(str(folder.parent), folder.name)


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
    return importlib.import_module("keras_tuner.engine.trial").Trial
