"""Parquet: a table of typed columns, a row a sample, as pandas and others write it.

Whole numbers and booleans as a target are classes, texts too. What x and y are:
`table.py`.
"""

import os
from pathlib import Path

import numpy as np

from keras_dlparts.data.table import (
    Table,
    TableSource,
    check_different,
    existing_file,
)


def _import():
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(
            "The parquet source needs pyarrow: pip install keras-dlparts[parquet]"
        ) from error
    return pyarrow


def example(folder):
    """Write a small file into `folder`; the arguments that read it."""
    pyarrow, path = _import(), Path(folder) / "example.parquet"
    columns = {"a": [1.5, -3.0] * 10, "b": [2.0, 0.4] * 10, "c": [0, 1] * 10}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return {"path": str(path), "target": "c"}


CASES = {"Parquet": ({"arguments": example},)}


class Parquet(TableSource):
    """Columns of a Parquet file: numbers, booleans and texts.

    Args:
        path: The file.
        target: The column to predict, or a list of columns; a column is a name
            or a position (from 0; negative from the end). None for no targets. Words
            become class numbers, in the order of the sorted words.
        features: Columns to predict from. None for all that are no target.
        test_path: Another file of the same columns to test on, or None.
        one_hot: Features that name a category, in words or numbers: each becomes a
            column of zeros and ones a category. None for none.
        class_names: The words of the target in the order of the classes 0, 1, ...;
            None for the words that there are, sorted.
        **kwargs: `batch_size`, `shuffle` and the other arguments of `Source`.

    Example:

    >>> source = Parquet("flowers.parquet", target="species", batch_size=16)
    >>> source.batch_size  # nothing is read before `source.train` is asked for
    16
    """

    def read(self, path: str | os.PathLike) -> Table:
        """Read a file as a table of numbers and texts."""
        pyarrow, file = _import(), existing_file(path, "parquet")
        try:
            names = pyarrow.parquet.read_schema(file).names
            check_different(names, str(path))
            table = pyarrow.parquet.read_table(file)
        except pyarrow.ArrowException as error:
            raise ValueError(f"{path} cannot be read as Parquet: {error}") from error
        if not table.num_rows:
            raise ValueError(f"{path}: must have at least one row. Received: none")
        columns = _Columns(path, table)
        return Table(str(path), table.column_names, columns, lambda i: f"row {i}")


class _Columns(dict):
    """Columns by position, converted when they are asked for: others may be of any
    type."""

    def __init__(self, path, table):
        self._path, self._table = path, table

    def __missing__(self, position):
        name = self._table.column_names[position]
        self[position] = _column(self._path, name, self._table[position])
        return self[position]


def _column(path, name, column):
    """A column as numbers, or as texts; what lacks is nan, or empty."""
    import pyarrow.types as kinds

    kind = column.type
    if kinds.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    if kinds.is_boolean(kind) and column.null_count:
        column = column.cast("int8")  # whose numpy has nan for what lacks
    if kinds.is_boolean(kind) or kinds.is_integer(kind) or kinds.is_floating(kind):
        return np.asarray(column.to_numpy())
    if kinds.is_string(kind) or kinds.is_large_string(kind):
        return np.array([cell or "" for cell in column.to_pylist()], object)
    raise ValueError(
        f"{path}: columns must be numbers, booleans or texts. Received: {kind} in "
        f"column {name!r}. Leave it out with `features`"
    )
