"""Whether a machine has yet to see data, told in the file that holds its weights.

A machine that waits has weights like any other, so they do not tell. Only the file of
one that waits has an entry more than Keras writes; all others, and those from before
there was the entry, have none.
"""

import numpy as np

_ENTRY = "waits_for_data"


def note(waits, store):
    """Note in the store of a layer's variables that it waits, if it does."""
    if waits:
        store[_ENTRY] = np.array(True)


def read(store):
    """(whether the layer waited, the store as Keras' layers take it)."""
    names = list(store.keys())
    return _ENTRY in names, {name: store[name] for name in names if name != _ENTRY}
