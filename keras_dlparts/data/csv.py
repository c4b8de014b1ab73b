"""Csv: a table of numbers as text, a row a sample.

    height,width,class        names of the columns, if there is a header
    1.5,2,0                   one sample a line
    ...

x has the shape (features,), float32. y has the shape () for one target and
(targets,) for a list of them; it is int32 if all of it is written as integers
("3", not "3.0"), else float32. Blank lines are skipped. An empty cell, a word and
nan are errors that name the line, since no value can be made up for them.
"""

import contextlib
import csv
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_dlparts.data.source import Source, Splits
from keras_dlparts.support.checks import check_flag, check_path


def example(folder):
    """Write a small file into `folder`; the arguments that read it."""
    path = Path(folder) / "example.csv"
    path.write_text("a,b,c\n" + "1.5,2,0\n-3,4e-1,1\n" * 10)
    return {"path": str(path), "target": "c"}


def numbers(rows, lines, columns, where):
    """Rows of text as float64; raise for the first cell that is no finite number."""
    with contextlib.suppress(ValueError):  # the cell is found and named below
        values = np.array(rows, dtype="float64")
        if np.isfinite(values).all():
            return values
    for row, line in zip(rows, lines, strict=True):
        for cell, column in zip(row, columns, strict=True):
            try:
                good = np.isfinite(float(cell))
            except ValueError:
                good = False
            if not good:
                raise ValueError(
                    f"{where}, line {line}: a cell must be a finite number. Received: "
                    f"{cell!r} in column {column!r}. Fill it in, drop the row, or "
                    "leave the column out with `features`"
                )
    raise ValueError(f"{where}: the table cannot be read as numbers")


CASES = {"Csv": ({"arguments": example},)}


class Csv(Source):
    """Numbers in a text file, a row a sample.

    Args:
        path: The file.
        target: The column to predict, or a list of columns; a column is a name
            or a position (from 0; negative from the end). None for no targets.
        features: Columns to predict from. None for all that are no target.
        test_path: Another file of the same columns to test on, or None.
        header: Whether the first line names the columns.
        delimiter: One character between the cells.
        **kwargs: `batch_size`, `shuffle` and the other arguments of `Source`.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.csv").write_text("a,b,c\\n1,2,0\\n3,4,1\\n")
    ...     Csv(folder + "/a.csv", target="c", validation_split=0).train.arrays()
    (array([[1., 2.], [3., 4.]], dtype=float32), array([0, 1], dtype=int32))
    """

    def __init__(
        self,
        path: str | os.PathLike,
        target: str | int | Sequence[str | int] | None,
        features: str | int | Sequence[str | int] | None = None,
        test_path: str | os.PathLike | None = None,
        header: bool = True,
        delimiter: str = ",",
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_path("path", path)
        if test_path is not None:
            check_path("test_path", test_path)
        check_flag("header", header)
        if (
            not isinstance(delimiter, str)
            or len(delimiter) != 1
            or delimiter in '\r\n"'
        ):
            raise ValueError(
                f"`delimiter` must be one character. Received: delimiter={delimiter!r}"
            )
        for name, value in {"target": target, "features": features}.items():
            columns = value if isinstance(value, list | tuple) else [value]
            if value is not None and not (
                columns
                and all(
                    isinstance(c, str | int) and not isinstance(c, bool)
                    for c in columns
                )
            ):
                raise TypeError(
                    f"`{name}` must be a column or a list of columns, by name or "
                    f"position. Received: {name}={value!r}"
                )
        self.path = path
        self.target = target
        self.features = features
        self.test_path = test_path
        self.header = header
        self.delimiter = delimiter

    def load(self):
        tables = [self._table(self.path)]
        if self.test_path is not None:
            tables.append(self._table(self.test_path))
        integer = all(table[2] for table in tables)
        pairs = []
        for x, y, _ in tables:
            if y is not None:
                y = y.astype("int32" if integer else "float32")
            pairs.append((x.astype("float32"), y))
        return Splits(train=pairs[0], test=pairs[1] if len(pairs) > 1 else None)

    def _table(self, given):
        """x and y as float64, and whether y is written as integers."""
        columns, rows, lines = self._read(given)
        listed = isinstance(self.target, list | tuple)
        targets = self.target if listed else [self.target]
        targets = [] if self.target is None else self._find(targets, columns, given)
        if self.features is None:
            features = [c for c in range(len(columns)) if c not in targets]
        else:
            wanted = self.features
            wanted = wanted if isinstance(wanted, list | tuple) else [wanted]
            features = self._find(wanted, columns, given)
        if not features or set(features) & set(targets):
            raise ValueError(
                f"{given}: there must be a feature, and no column that is feature and "
                f"target at once. Received: target={self.target!r}, features="
                f"{self.features!r} of the columns {', '.join(columns)}"
            )

        def cells(positions):
            names = [columns[p] for p in positions]
            picked = [[row[p] for p in positions] for row in rows]
            return picked, numbers(picked, lines, names, given)

        _, x = cells(features)
        if not targets:
            return x, None, False
        text, y = cells(targets)
        integer = all(not set(cell) & set(".eE") for row in text for cell in row)
        return x, y if listed else y[:, 0], integer and np.abs(y).max() < 2**31

    def _read(self, given):
        path = Path(given).expanduser()
        if not path.is_file():
            raise FileNotFoundError(
                f"A csv source must be a file. Received: {given}, which is "
                f"{'a folder' if path.is_dir() else 'not there'}"
            )
        columns, rows, lines = None, [], []
        try:
            with open(path, encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, delimiter=self.delimiter, strict=True)
                for row in reader:
                    if not row:
                        continue
                    if columns is None:
                        columns = [name.strip() for name in row]
                        if not self.header:
                            columns = [str(i) for i in range(len(row))]
                        if len(set(columns)) < len(columns):
                            raise ValueError(
                                f"{given}, line {reader.line_num}: columns must have "
                                f"different names. Received: {', '.join(columns)}. "
                                "Is there a header? If not: header=False"
                            )
                        if self.header:
                            continue
                    if len(row) != len(columns):
                        raise ValueError(
                            f"{given}, line {reader.line_num}: a row must have "
                            f"{len(columns)} cells. Received: {len(row)}"
                        )
                    rows.append(row)
                    lines.append(reader.line_num)
        except (UnicodeDecodeError, csv.Error) as error:
            line = (lines or [0])[-1] + 1
            raise ValueError(
                f"{given}, near line {line}: must be text in UTF-8. Received: {error}"
            ) from error
        if not rows:
            raise ValueError(f"{given}: must have at least one row. Received: none")
        return columns, rows, lines

    def _find(self, wanted, columns, given):
        positions = []
        for column in wanted:
            if isinstance(column, str) and column in columns:
                positions.append(columns.index(column))
            elif isinstance(column, int) and -len(columns) <= column < len(columns):
                positions.append(column % len(columns))
            else:
                raise ValueError(
                    f"{given}: there is no column {column!r}. "
                    f"Received: {', '.join(columns)}"
                )
        return positions
