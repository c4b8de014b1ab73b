"""Csv: a table as text, a row a sample.

    height,width,class        names of the columns, if there is a header
    1.5,2,0                   one sample a line
    ...

A target is of whole numbers if all of it is written so ("3", not "3.0"). Blank lines
are skipped. What x and y are: `table.py`.
"""

import csv
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_dlparts.data.table import (
    Table,
    TableSource,
    check_different,
    existing_file,
)
from keras_dlparts.support.cells import is_number
from keras_dlparts.support.checks import check_flag


def example(folder):
    """Write a small file into `folder`; the arguments that read it."""
    path = Path(folder) / "example.csv"
    path.write_text("a,b,c\n" + "1.5,2,0\n-3,4e-1,1\n" * 10)
    return {"path": str(path), "target": "c"}


CASES = {"Csv": ({"arguments": example},)}


class Csv(TableSource):
    """Numbers and words in a text file, a row a sample.

    Args:
        path: The file.
        target: The column to predict, or a list of columns; a column is a name
            or a position (from 0; negative from the end). None for no targets. Words
            become class numbers, in the order of the sorted words.
        features: Columns to predict from. None for all that are no target.
        test_path: Another file of the same columns to test on, or None.
        header: Whether the first line names the columns.
        delimiter: One character between the cells.
        one_hot: Features that name a category, in words or numbers: each becomes a
            column of zeros and ones a category. None for none.
        class_names: The words of the target in the order of the classes 0, 1, ...;
            None for the words that there are, sorted.
        **kwargs: `batch_size`, `shuffle` and the other arguments of `Source`.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.csv").write_text("a,b,c\\n1,2,no\\n3,4,yes\\n")
    ...     source = Csv(folder + "/a.csv", target="c", validation_split=0)
    ...     source.train.arrays()
    (array([[1., 2.], [3., 4.]], dtype=float32), array([0, 1], dtype=int32))
    >>> source.class_names
    ['no', 'yes']
    """

    def __init__(
        self,
        path: str | os.PathLike,
        target: str | int | Sequence[str | int] | None,
        features: str | int | Sequence[str | int] | None = None,
        test_path: str | os.PathLike | None = None,
        header: bool = True,
        delimiter: str = ",",
        one_hot: str | int | Sequence[str | int] | None = None,
        class_names: Sequence[str] | None = None,
        **kwargs,
    ):
        super().__init__(
            path, target, features, test_path, one_hot, class_names, **kwargs
        )
        check_flag("header", header)
        if (
            not isinstance(delimiter, str)
            or len(delimiter) != 1
            or delimiter in '\r\n"'
        ):
            raise ValueError(
                f"`delimiter` must be one character. Received: delimiter={delimiter!r}"
            )
        self.header = header
        self.delimiter = delimiter

    def read(self, path: str | os.PathLike) -> Table:
        """Read a file as a table of texts."""
        given = str(path)
        columns, rows, lines = None, [], []
        for line, row in _rows(path, self.delimiter):
            if columns is None:
                columns = [name.strip() for name in row]
                if not self.header:
                    columns = [str(i) for i in range(len(row))]
                check_different(
                    columns,
                    f"{given}, line {line}",
                    ". Is there a header? If not: header=False",
                )
                if self.header:
                    continue
            if len(row) != len(columns):
                raise ValueError(
                    f"{given}, line {line}: a row must have {len(columns)} cells. "
                    f"Received: {len(row)}"
                )
            rows.append(row)
            lines.append(line)
        if not rows:
            raise ValueError(f"{given}: must have at least one row. Received: none")
        cells = [
            np.array([row[p] for row in rows], object) for p in range(len(columns))
        ]
        return Table(given, columns, cells, lambda i: f"line {lines[i]}")


def has_names(path, delimiter, wanted=()):
    """Whether the first row of a file names the columns: it has a word, or all of the
    names that are wanted, which may be numbers."""
    for _, row in _rows(path, delimiter):
        cells = [cell.strip() for cell in row]
        named = bool(wanted) and {*wanted} <= {*cells}
        return named or any(cell and not is_number(cell) for cell in cells)
    return False


def _rows(path, delimiter):
    """The rows of a file that are not blank, each with the line that it ends in."""
    line = 0
    try:
        with open(existing_file(path, "csv"), encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            for row in reader:
                line = reader.line_num
                if row:
                    yield line, row
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"{path}, near line {line + 1}: must be text in UTF-8. Received: {error}"
        ) from error
