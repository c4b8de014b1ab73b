"""Predictions of a trained model on a file of inputs, or on a split of its run's data.

.csv   a row a sample. Of a run that was trained on a `csv` or `parquet` the features
       go by the names that they have there, categories become the columns that they
       became there, and other columns are ignored: the target's may be there or not.
       Without names all columns stand as they did in training, if those had no names
       either, or the features alone do. Else every column is a feature, and a first
       row with a word names them.
       A row is given the shape of the model's input.
.npz   the array `x`, or under the names that the model's inputs have; of a run
       trained on an `npz`, under the names that it has there.
.npy   the one array
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

    from keras_dlparts.runs import Run

_SPLITS = ("train", "validation", "test")


def predict(
    model: "keras.Model", data: Any, run: "Run | None" = None, batch_size: int = 256
) -> Any:
    """The outputs of a model in inference, an array or a structure of them.

    Args:
        model: The model.
        data: Arrays of inputs; the path of a `.csv`, `.npz` or `.npy` file; or, with
            `run`, the name of a split of its data.
        run: The run in which the model was trained, or None.
        batch_size: Integer, `>= 1`. How many samples are computed at once.
    """
    if isinstance(data, str) and data in _SPLITS:
        x = split_of(data, None if run is None else run.config)[0]
    elif isinstance(data, str | os.PathLike):
        x = _shaped(read(data, run, input_names(model)), model)
    else:
        x = data
    _check_shapes(x, model)
    return model.predict(x, batch_size=batch_size, verbose=0)


def input_names(model):
    """The names of a model's inputs, where it has several."""
    inputs = getattr(model, "inputs", None) or []
    return [one.name for one in inputs] if len(inputs) > 1 else []


def split_of(split, config):
    """(x, y) of a split of the data that a config names, as arrays."""
    if config is None:
        raise ValueError(
            f"A split is of a run's data. Received: {split!r} for a model without a "
            "run; give a file"
        )
    from keras_dlparts.config.assemble import made_without_model
    from keras_dlparts.config.experiment import load

    experiment = load(config)
    data, *_ = made_without_model(experiment)
    batches = getattr(data, split)
    if batches is None:
        there = [name for name in _SPLITS if getattr(data, name) is not None]
        raise ValueError(
            f"The run's data must have the split. Received: {split!r}; there "
            f"{'is' if len(there) == 1 else 'are'} {', '.join(there)}"
        )
    return batches.still().arrays()


def read(path: str | os.PathLike, run: "Run | None" = None, names=()) -> Any:
    """The inputs in a file: an array, or a dict of arrays by name.

    Args:
        path: A `.csv`, `.npz` or `.npy` file.
        run: The run that they are for, or None.
        names: What the inputs are called, where there are several.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"The data must be a file, or one of {', '.join(_SPLITS)}. Received: "
            f"{str(path)!r}, which is {'a folder' if path.is_dir() else 'not there'}"
        )
    source = {} if run is None else run.config.get("data")
    source = source if isinstance(source, dict) else {}
    kind = str(source.get("use", "")).rpartition(".")[2]
    if path.suffix == ".csv":
        if kind not in ("csv", "parquet"):
            return _table(path, {}, None)
        if run.columns is None:
            raise ValueError(
                f"{run.path} has no columns.json, which says what the features are. "
                "Give the inputs as an .npz, or train again"
            )
        return _table(path, source, run.columns)
    if path.suffix in (".npz", ".npy"):
        if kind == "npz" and not names:
            names = source.get("x", ())
        return _arrays(path, [names] if isinstance(names, str) else [*names])
    raise ValueError(f"The data must be .csv, .npz or .npy. Received: {str(path)!r}")


def _table(path, source, columns):
    """The features of a table, by the columns that a run has noted of its own."""
    from keras_dlparts.data.csv import Csv, has_names
    from keras_dlparts.data.table import inputs

    delimiter = source.get("delimiter") or ","
    names = [column["name"] for column in columns or ()]
    header, numbered = source.get("header"), source.get("header") is False
    if header is None:
        header = has_names(path, delimiter, names)
    table = Csv(path, None, header=header, delimiter=delimiter).read(path)
    if columns is None:
        columns = [{"name": name, "categories": None} for name in table.names]
        names, numbered = table.names, True
    # Without a header columns are named by their places, which are no names of a run
    # whose table had some.
    there = table.names if header or numbered else []
    missing = [name for name in names if name not in there]
    if missing and not header and len(table.names) == len(names):
        positions = [*range(len(names))]  # the features alone, in their order
    elif missing:
        raise ValueError(
            f"{path} must have the features that the run was trained on, and has "
            f"no {', '.join(missing)}. Received: "
            + (f"the columns {', '.join(there)}" if there else "columns without names")
        )
    else:
        positions = [table.names.index(name) for name in names]
    return inputs(table, positions, columns)


def _arrays(path, names):
    try:
        found = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} cannot be read as plain arrays: {error}") from None
    if isinstance(found, np.ndarray):
        return found
    names = names or ["x"]
    missing = [name for name in names if name not in found.files]
    if missing:
        raise ValueError(
            f"{path} must hold the inputs as {', '.join(names)}. Received: an .npz of "
            f"{', '.join(found.files)}"
        )
    return {name: found[name] for name in names} if len(names) > 1 else found[names[0]]


def _shaped(x, model):
    """Rows of a table in the shape of the model's input, if so many numbers fit."""
    wanted = getattr(model, "input_shape", None)
    if not isinstance(x, np.ndarray) or x.ndim != 2 or not isinstance(wanted, tuple):
        return x
    if None in wanted[1:] or x.shape[1] != np.prod(wanted[1:]):
        return x
    return x.reshape(len(x), *wanted[1:])


def _check_shapes(x, model):
    wanted = getattr(model, "input_shape", None)
    if not isinstance(x, np.ndarray) or not isinstance(wanted, tuple):
        return
    fits = len(x.shape) == len(wanted) and all(
        size in (None, found)
        for size, found in zip(wanted[1:], x.shape[1:], strict=True)
    )
    if not fits:
        raise ValueError(
            f"A sample must have the shape {tuple(wanted[1:])}, as the model's input. "
            f"Received: {len(x)} samples of shape {tuple(x.shape[1:])}"
        )


def write(outputs: Any, path: str | os.PathLike | None) -> str:
    """Write outputs into a `.csv` or `.npz` file; with no path, the text of the csv.

    Args:
        outputs: An array, or several in a list or dict. In a csv a sample is a row, and
            its outputs are columns `y`, or `y0`, `y1`, ...
        path: Where to, or None.
    """
    import keras

    from keras_dlparts.support.files import whole

    named = outputs if isinstance(outputs, dict) else {}
    if not named:
        several = keras.tree.flatten(outputs)
        ends = [""] if len(several) == 1 else range(len(several))
        named = {f"y{end}": y for end, y in zip(ends, several, strict=True)}
    named = {name: _of_numpy(y) for name, y in named.items()}
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    if path is not None and Path(path).suffix == ".npz":
        with whole(Path(path)) as partial, open(partial, "wb") as file:
            np.savez(file, **named)
        return ""
    if path is not None and Path(path).suffix != ".csv":
        raise ValueError(f"Outputs go into a .csv or .npz. Received: {str(path)!r}")
    text = _as_csv(named)
    if path is not None:
        with whole(Path(path)) as partial:
            partial.write_text(text, "utf-8")
    return text


def _of_numpy(y):
    """An array; bfloat16, which numpy writes as raw bytes, as float32."""
    y = np.asarray(y)
    return y.astype("float32") if y.dtype.name == "bfloat16" else y


def _as_csv(named):
    heads, columns = [], []
    for name, y in named.items():
        rows = y.reshape(len(y), -1)
        between = "_" if name[-1:].isdigit() else ""
        many = rows.shape[1] > 1
        heads += [f"{name}{between}{i}" if many else name for i in range(rows.shape[1])]
        columns += [*rows.T]
    lines = [
        ",".join(str(value) for value in row) for row in zip(*columns, strict=True)
    ]
    return "\n".join([",".join(heads), *lines]) + "\n"
