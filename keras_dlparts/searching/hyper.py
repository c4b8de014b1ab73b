"""A config's space and models for users of KerasTuner's own API."""

import functools
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras_dlparts.config import objects
from keras_dlparts.config.backends import choose_backend
from keras_dlparts.config.experiment import opened, settled
from keras_dlparts.config.whole_space import whole_space
from keras_dlparts.searching import kerastuner
from keras_dlparts.searching.space import chooser, declare

if TYPE_CHECKING:
    import keras_tuner


def hyperparameters(
    config: str | os.PathLike | dict, sets: Sequence[str] = ()
) -> "keras_tuner.HyperParameters":
    """The search space of a config as KerasTuner's hyperparameters.

    Args:
        config: path of a YAML, TOML or JSON file, or the dict itself.
        sets: texts such as `"fit.epochs=3"` that override it.

    Returns: a `keras_tuner.HyperParameters` with all searched values of all branches,
    set to the config's defaults. Names are paths with the branch in them.

    Example:

    >>> hp = hyperparameters({
    ...     "model": [{"use": "Dense", "units": {"search": "int", "min": 2, "max": 9}}],
    ...     "loss": "mse",
    ... })
    >>> hp.values
    {'model[0].units': 2}
    """
    choose_backend(config, sets)
    document, _ = opened(config, sets)
    spaces = whole_space(document)
    document.raise_problems()
    return declare(spaces, kerastuner.load().HyperParameters())


def hypermodel(
    config: str | os.PathLike | dict, sets: Sequence[str] = ()
) -> "keras_tuner.HyperModel":
    """A config as a `keras_tuner.HyperModel`, for any tuner of KerasTuner.

    `build(hp)` gives the compiled model of a config's values. `fit` trains on the
    config's data for the config's epochs, as `train` does and to the same weights,
    unless `tuner.search(...)` is given data and arguments of its own.

    Args:
        config: path of a YAML, TOML or JSON file, or the dict itself.
        sets: texts such as `"fit.epochs=3"` that override it.

    Example:

    >>> import keras_tuner
    >>> model = hypermodel({
    ...     "model": [
    ...         {"use": "Input", "shape": [4]},
    ...         {"use": "Dense", "units": {"search": "int", "min": 2, "max": 9}},
    ...     ],
    ...     "loss": "mse",
    ... })
    >>> hp = keras_tuner.HyperParameters()
    >>> model.build(hp).output_shape
    (None, 2)
    >>> hp.values["model[1].units"] = 5
    >>> model.build(hp).output_shape
    (None, 5)
    """
    choose_backend(config, sets)
    kerastuner.load()
    document, given = opened(config, sets)
    objects.refuse(document, "a hypermodel", but=("data",))
    spaces = whole_space(document)
    document.raise_problems()
    return _class()(document, given, spaces)


@functools.cache
def _class():
    """The class. Its base is KerasTuner's, so it is made when KerasTuner is loaded."""
    return type("ConfigHyperModel", (_Methods, kerastuner.load().HyperModel), {})


class _Methods:
    def __init__(self, document, given, spaces):
        super().__init__(name="config")
        self.document, self.given, self.spaces = document, given, spaces

    def declare_hyperparameters(self, hp):
        declare(self.spaces, hp)

    def build(self, hp):
        """The compiled model of these values; `hp` gains the whole space."""
        from keras_dlparts.config.assemble import assemble

        declare(self.spaces, hp)
        return assemble(self._experiment(hp)).model

    def fit(self, hp, model, *args, **kwargs):
        """Train; without data of your own, on the config's, with its settings."""
        if args or "x" in kwargs:
            return model.fit(*args, **kwargs)
        from keras_dlparts.training.session import Session

        experiment = self._experiment(hp)
        settings = experiment.settings
        # The model was made on the devices that the tuner chose for it.
        settings.distribute = type(settings.distribute)()
        with Session(experiment, model=model) as session:
            made = session.prepare()
            session.restore()
            made.callbacks += kwargs.pop("callbacks", None) or ()
            return session.fit(**{"verbose": "auto"} | kwargs)

    def _experiment(self, hp):
        return settled(self.document, self.given, chooser(hp.values))
