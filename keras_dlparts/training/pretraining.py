"""The config's section `pretrain:`: a model learns layer by layer before `fit`.

Each layer that is learnt leaves a file in the run's checkpoints; a resumed run takes it
up and goes on with the next. The one under way starts over, from the same seed, so the
run ends with the same weights. `pretraining.csv` has a row for each layer and epoch.
"""

import csv
import io

import numpy as np

from keras_dlparts import backend
from keras_dlparts.data.batches import Batches
from keras_dlparts.support.files import read_arrays, write_arrays, write_text
from keras_dlparts.training import chunks


def check(experiment, made):
    """Raise a ConfigError where pre-training is asked of a model that has none."""
    document = experiment.document
    if experiment.settings.pretrain.epochs:
        if not callable(getattr(made.model, "pretrain", None)):
            message = "this model learns nothing layer by layer; models.DBN, DBM and "
            message += "Autoencoder do"
            document.problem(("pretrain",), message, key=True)
        elif isinstance(made.data.train.x, dict):
            message = "the data must have one input, not several"
            document.problem(("pretrain",), message, key=True)
        elif experiment.settings.pretrain.samples and not hasattr(
            made.data, "train_all"
        ):
            message = "this source leaves no samples out"
            document.problem(("pretrain", "samples"), message)
    document.raise_problems()


def run(settings, made, path, say, share=lambda batches: batches):
    """Learn the layers of `made.model`.

    Args:
        settings: the config's settings.
        made: what was assembled from it.
        path: the run's folder, where layers that were learnt before a kill are taken
            up; None to keep nothing.
        say: called with each line of news.
        share: gives batches as the run's devices share them.
    """
    rows, seen = [], []

    def fit(model, x, epochs, batch_size, number):
        seen.append(x)
        file = path and path / "checkpoints" / f"pretrain-{number}.npz"
        saved = file and read_arrays(file)
        if saved is None:
            if file and file.exists():
                say(f"{file} is damaged; the layer learns once more")
            say(f"pre-training layer {number + 1}, {epochs} epochs")
            options = {"batch_size": batch_size, "seed": settings.seed}
            batches = Batches(x, shuffle=True, **options)
            # What learns from the data itself is the first layer, and a machine of all.
            if x is seen[0] and learnt.change is not None:
                batches = _drawn_anew(learnt, x.shape[1:], **options)
            history = _learn(model, batches, epochs, share)
            saved = _packed(model, history)
            if file:
                file.parent.mkdir(exist_ok=True)
                write_arrays(file, saved)
        names = [name for name in saved if name.startswith("history_")]
        history = {n.removeprefix("history_"): [*map(float, saved[n])] for n in names}
        model.set_weights([saved[f"weight_{i}"] for i, _ in enumerate(model.weights)])
        rows.extend(
            {"layer": number + 1, "epoch": epoch + 1}
            | {name: values[epoch] for name, values in history.items()}
            for epoch in range(epochs)
        )
        return history

    backend.seed_globals(settings.seed)
    learnt = made.data.train
    if settings.pretrain.samples == "all":
        learnt = made.data.train_all
    x, _ = learnt.arrays()
    options = settings.pretrain.model_dump(exclude={"samples"})
    made.model.pretrain(x, batch_size=made.data.train.batch_size, fit=fit, **options)
    if path is None:
        return
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path / "pretraining.csv", text.getvalue())


def _drawn_anew(batches, shape, batch_size, seed):
    """What learns from the data itself sees, in each epoch drawn or augmented as for
    training, in rows of the shape that the model gives it."""

    def change(x, y, epoch, index):
        x, _ = batches.change(x, None, epoch, index)
        return x.reshape(len(x), *shape).astype("float32"), None

    return Batches(batches.x, None, batch_size, True, seed, batches.rows, change)


def _learn(model, batches, epochs, share):
    steps = chunks.steps_a_call(model, batches)
    data = chunks.prepared(model, share(batches), steps)
    history = model.fit(data, epochs=epochs, shuffle=False, verbose=0).history
    wrong = [name for name, values in history.items() if not np.isfinite(values).all()]
    if wrong:
        raise ValueError(
            f"Pre-training went bad: {wrong[0]} is not finite. Lower "
            "pretrain.learning_rate, and see that the data suits the model"
        )
    return history


def _packed(model, history):
    """A layer that was learnt, as named arrays."""
    arrays = {f"weight_{i}": w.numpy() for i, w in enumerate(model.weights)}
    return arrays | {f"history_{n}": np.array(v) for n, v in history.items()}
