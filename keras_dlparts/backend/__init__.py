"""The only folder that knows which Keras backend runs.

Parts build on Keras and on what is here, as `backend.name()`: random seeds and state
that are right over replicas, gradients and curvature of a model on a batch, loops in
one compiled call, repeatable arithmetic. `public.py` lists the names, and says which of
them a plugin may rely on.

The names are loaded on first use, so that reading `keras_private`, or importing this
folder, loads neither Keras nor a backend.
"""

import importlib.util
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_dlparts.backend.public import *  # noqa: F403


def __getattr__(name):
    # Asked of a module of this folder that is not imported yet: the import goes on.
    if name.startswith("_") or importlib.util.find_spec(f"{__name__}.{name}"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    public = importlib.import_module(f"{__name__}.public")
    globals().update({each: getattr(public, each) for each in public.__all__})
    return getattr(public, name)


def __dir__():
    return importlib.import_module(f"{__name__}.public").__all__
