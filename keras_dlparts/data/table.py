"""Tables: what sources share that read columns with names, a row a sample.

    x    the features beside each other, float32; a column of `one_hot` is one column
         a category, in the order of their texts
    y    () for one target and (targets,) for a list of them: int32 if all of them are
         whole numbers, else float32; a target of words is the number of its class.
         Whole numbers that int32 cannot hold are refused: float32 would round them

An empty cell, nan, and a word among numbers are errors that name the row, since no
value can be made up for them.
"""

import abc
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_dlparts.data.source import Source, Splits
from keras_dlparts.support.cells import is_number
from keras_dlparts.support.checks import check_path


@dataclass
class Table:
    """A table that was read.

    `columns` gives an array for the position of each of `names`, of texts or of
    numbers. `row` gives the words for where row i stands, as `line 3`.
    """

    path: str
    names: list
    columns: Any
    row: object


def numbers(table, position):
    """(a column as float64, whether all of it is written as whole numbers).

    None for a column of words, in which no cell reads as a number and none is empty.
    The first cell of any other that is no finite number raises.
    """
    column = table.columns[position]
    words = np.zeros(len(column), bool)
    if column.dtype.kind in "biuf":
        values, whole = column.astype("float64"), column.dtype.kind in "biu"
    else:
        whole = not any(set(".eE") & set(cell) for cell in column)
        reads = np.array([*map(is_number, column)])
        filled = np.array([bool(cell.strip()) for cell in column])
        if not reads.any() and filled.all():
            return None
        values = np.full(len(column), np.nan)
        values[reads] = column[reads].astype("float64")
        words = filled & ~reads
        if words.any() and np.isfinite(values).any():
            raise _mixed(table, position, np.isfinite(values).argmax(), words.argmax())
    with np.errstate(over="ignore"):  # what float32 cannot hold is told below
        good = np.isfinite(values.astype("float32")) | words
    if not good.all():
        bad = good.argmin()
        large = " of float32" if np.isfinite(values[bad]) else ""
        raise ValueError(
            f"{table.path}, {table.row(bad)}: a cell must be a finite number{large}. "
            f"Received: {str(column[bad])!r} in column {table.names[position]!r}. "
            "Fill it in, drop the row, or leave the column out with `features`"
        )
    return values, whole


def _mixed(table, position, number, word):
    """The error for a column in which one row has a number and another a word."""
    column = table.columns[position]
    number, word = (f"{column[i].strip()!r} in {table.row(i)}" for i in (number, word))
    return ValueError(
        f"{table.path}: column {table.names[position]!r} must hold numbers or words, "
        f"not both. Received: the number {number} and the word {word}. Write them "
        "alike, drop the row, or leave the column out with `features`"
    )


def classes(table, position, names):
    """A column of words as class numbers, int32, by the names of the classes."""
    known = {name: number for number, name in enumerate(names)}
    cells = _texts(table, position)
    for i, cell in enumerate(cells):
        if cell not in known:
            shown = ", ".join(names[:10]) + ", ..." * (len(names) > 10)
            raise ValueError(
                f"{table.path}, {table.row(i)}: a cell of column "
                f"{table.names[position]!r} must be one of {shown}. "
                f"Received: {cell!r}"
            )
    return np.array([known[cell] for cell in cells], "int32")


def words(table, position):
    """The different texts of a column, sorted."""
    return sorted({*_texts(table, position)})


def _texts(table, position):
    column = table.columns[position]
    cells = [str(cell).strip() for cell in column]
    empty = [not cell for cell in cells]
    if column.dtype.kind == "f":
        empty = [*np.isnan(column)]
    if any(empty):
        row = empty.index(True)
        raise ValueError(
            f"{table.path}, {table.row(row)}: a cell of column "
            f"{table.names[position]!r} must name a category. Received: "
            f"{cells[row]!r}. Fill it in, or drop the row"
        )
    return cells


def inputs(table, positions, columns):
    """The features that stand in these columns of a table, float32.

    Each column is `{"name", "categories"}`. One with categories becomes a column each.
    """
    found = []
    for position, column in zip(positions, columns, strict=True):
        names = column["categories"]
        if names is None:
            found.append(_feature(table, position))
        else:
            found += [*np.eye(len(names))[classes(table, position, names)].T]
    return np.stack(found, axis=1).astype("float32")


def _feature(table, position):
    found = numbers(table, position)
    if found is None:
        name = table.names[position]
        raise ValueError(
            f"{table.path}, {table.row(0)}: a feature must be a finite number. "
            f"Received: {str(table.columns[position][0])!r} in column {name!r}. "
            f"Words can be `one_hot: [{name}]`, or leave the column out with "
            "`features`"
        )
    return found[0]


def _listed(columns):
    return [*columns] if isinstance(columns, list | tuple) else [columns]


class TableSource(Source):
    """Abstract: columns of a file, a row a sample. Subclasses implement `read`.

    Args:
        path: The file.
        target: The column to predict, or a list of columns; a column is a name
            or a position (from 0; negative from the end). None for no targets.
        features: Columns to predict from. None for all that are no target.
        test_path: Another file of the same columns to test on, or None. They go by
            the names that they have in the first.
        one_hot: Features that name a category, in words or numbers: a column a
            category. None for none.
        class_names: The words of a target, in the order of the classes 0, 1, ... None
            for those that are there, sorted, where the target is a column of words.
        **kwargs: `batch_size`, `shuffle` and the other arguments of `Source`.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        target: str | int | Sequence[str | int] | None,
        features: str | int | Sequence[str | int] | None = None,
        test_path: str | os.PathLike | None = None,
        one_hot: str | int | Sequence[str | int] | None = None,
        class_names: Sequence[str] | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_path("path", path)
        if test_path is not None:
            check_path("test_path", test_path)
        given = {"target": target, "features": features, "one_hot": one_hot}
        for name, value in given.items():
            if value is not None and not (
                value != []
                and all(
                    isinstance(c, str | int) and not isinstance(c, bool)
                    for c in _listed(value)
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
        self.one_hot = one_hot
        self.class_names = check_class_names(class_names)
        if class_names is not None and (target is None or len(_listed(target)) > 1):
            raise ValueError(
                "`class_names` are the words of one target. "
                f"Received: class_names={class_names!r} and target={target!r}"
            )

    @abc.abstractmethod
    def read(self, path: str | os.PathLike) -> Table:
        """Read a file."""

    def load(self):
        tables = [self.read(self.path)]
        if self.test_path is not None:
            tables.append(self.read(self.test_path))
        places = [self._positions(tables[0])]
        for table in tables[1:]:  # where the same columns may stand in another order
            names = ([tables[0].names[p] for p in part] for part in places[0])
            places.append([_find(part, table) for part in names])
        features, _, one_hot = places[0]
        self.columns = [
            {
                "name": tables[0].names[p],
                "categories": words(tables[0], p) if p in one_hot else None,
            }
            for p in features
        ]
        targets = [self._targets(t, p[1]) for t, p in zip(tables, places, strict=True)]
        whole = all(each[1] for each in targets)
        pairs = []
        for table, place, (y, _) in zip(tables, places, targets, strict=True):
            if y is not None:
                y = y.astype("int32" if whole else "float32")
            pairs.append((inputs(table, place[0], self.columns), y))
        return Splits(train=pairs[0], test=pairs[1] if len(pairs) > 1 else None)

    def _positions(self, table):
        """Positions of the features, the targets, and the features to make one-hot."""
        targets = [] if self.target is None else _find(_listed(self.target), table)
        if self.features is None:
            features = [c for c in range(len(table.names)) if c not in targets]
        else:
            features = _find(_listed(self.features), table)
        if not features or {*features} & {*targets}:
            raise ValueError(
                f"{table.path}: there must be a feature, and no column that is feature "
                f"and target at once. Received: target={self.target!r}, features="
                f"{self.features!r} of the columns {', '.join(table.names)}"
            )
        one_hot = [] if self.one_hot is None else _find(_listed(self.one_hot), table)
        if not {*one_hot} <= {*features}:
            raise ValueError(
                f"{table.path}: `one_hot` must name features. Received: "
                f"one_hot={self.one_hot!r} of the features "
                f"{', '.join(table.names[p] for p in features)}"
            )
        return features, targets, one_hot

    def _targets(self, table, positions):
        """y as float64, and whether it is of whole numbers; None for no targets."""
        if not positions:
            return None, False
        if len(positions) == 1 and self.class_names is None:
            found = numbers(table, positions[0])
            if found is None:
                self.class_names = words(table, positions[0])
        if self.class_names is not None:
            found = [(classes(table, positions[0], self.class_names), True)]
        else:
            found = [numbers(table, position) for position in positions]
        if None in found:
            name = table.names[positions[found.index(None)]]
            raise ValueError(
                f"{table.path}: words can be the only target, and not one of several. "
                f"Received: words in column {name!r}"
            )
        y = np.stack([column for column, _ in found], axis=1)
        whole = all(each for _, each in found)
        large = np.argwhere(np.abs(y) >= 2**31)
        if whole and len(large):
            row, at = large[0]
            column = table.columns[positions[at]]
            raise ValueError(
                f"{table.path}, {table.row(row)}: a target of whole numbers must fit "
                f"into int32, below 2**31. Received: {str(column[row])!r} in column "
                f"{table.names[positions[at]]!r}. Count in a larger unit, or make "
                "them decimal numbers, which become float32"
            )
        return y if isinstance(self.target, list | tuple) else y[:, 0], whole


def _find(wanted, table):
    positions = []
    for column in wanted:
        if isinstance(column, str) and column in table.names:
            positions.append(table.names.index(column))
        elif isinstance(column, int) and -len(table.names) <= column < len(table.names):
            positions.append(column % len(table.names))
        else:
            raise ValueError(
                f"{table.path}: there is no column {column!r}. "
                f"Received: {', '.join(table.names)}"
            )
    return positions


def check_different(names, where, mend=""):
    """Raise where columns share a name."""
    if len({*names}) < len(names):
        raise ValueError(
            f"{where}: columns must have different names. "
            f"Received: {', '.join(names)}{mend}"
        )


def check_class_names(names):
    """A list of different names, or None; raise unless it is one."""
    if names is None:
        return None
    listed = isinstance(names, list | tuple) and len(names) > 0
    if not listed or not all(isinstance(name, str) for name in names):
        raise TypeError(
            f"`class_names` must be a list of texts. Received: class_names={names!r}"
        )
    if len({*names}) < len(names):
        raise ValueError(
            "`class_names` must be different from each other. "
            f"Received: class_names={names!r}"
        )
    return [*names]


def existing_file(path, kind):
    """The file at a path, or a FileNotFoundError in the words of users."""
    found = Path(path).expanduser()
    if not found.is_file():
        raise FileNotFoundError(
            f"A {kind} source must be a file. Received: {path}, which is "
            f"{'a folder' if found.is_dir() else 'not there'}"
        )
    return found
