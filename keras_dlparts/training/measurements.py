"""What callbacks measured, as files in the run's folder: `smoothness.csv` and others.

A callback that has `measurements()` gives `{name: {column: values}}`, and each name
becomes a file `<name>.csv` with a row a measurement. A name that another callback has
taken gets a number.
"""

import csv
import io

from keras_dlparts.support.files import write_text


def write_measurements(folder, callbacks):
    """Write the files of all callbacks anew; without a measurement there is none."""
    taken = {"history"}
    for callback in callbacks:
        given = getattr(callback, "measurements", None)
        for name, columns in (given() if callable(given) else {}).items():
            number, free = 2, name
            while free in taken:
                number, free = number + 1, f"{name}_{number}"
            taken.add(free)
            rows = [*zip(*columns.values(), strict=True)]
            if rows:
                text = io.StringIO()
                csv.writer(text, lineterminator="\n").writerows([[*columns], *rows])
                write_text(folder / f"{free}.csv", text.getvalue())
