"""The model that a run was given, kept in its folder as it was before training.

A `.keras` file has the model, its weights and its optimizer, and not the states of its
seed generators: these are beside it, so that a repeated run draws the same numbers.
"""

import numpy as np

from keras_dlparts.config.objects import INITIAL
from keras_dlparts.saving import load_model
from keras_dlparts.support.files import read_arrays, whole, write_arrays


def save_initial(model, folder):
    """Keep a model in a run's folder."""
    with whole(folder / INITIAL) as partial:
        model.save(partial)
    states = _seed_states(model)
    write_arrays(
        (folder / INITIAL).with_suffix(".npz"),
        {f"seed_{i}": state.numpy() for i, state in enumerate(states)},
    )


def load_initial(path):
    """The model that a run's folder keeps, as it was."""
    model = load_model(path)
    saved = read_arrays(path.with_suffix(".npz")) or {}
    for i, state in enumerate(_seed_states(model)):
        if f"seed_{i}" in saved:
            state.assign(np.asarray(saved[f"seed_{i}"]))
    return model


def _seed_states(model):
    weights = {id(weight) for weight in model.weights}
    return [v for v in model.variables if id(v) not in weights]
