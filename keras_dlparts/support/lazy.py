"""Public names of a package that are imported when they are first asked for.

A package that uses this says its names twice: in the call, for Python, and in imports
under `if TYPE_CHECKING`, for editors and type checkers, which do not run the call. The
tests compare the two.
"""

import importlib


def attach(package, homes):
    """The functions that make a package's public names load on first use.

    Args:
        package: The package's `__name__`.
        homes: `{public name: module that has it}`, the module's name being relative to
            the package. A name whose module has the same name is that module itself.

    Returns: the package's `__getattr__`, `__dir__` and `__all__`.

    Example:

    >>> get, listed, names = attach("keras_dlparts", {"Run": "runs", "runs": "runs"})
    >>> names, get("runs").__name__, get("Run").__name__
    (['Run', 'runs'], 'keras_dlparts.runs', 'Run')
    >>> get("walk")
    Traceback (most recent call last):
    AttributeError: module 'keras_dlparts' has no attribute 'walk'
    """
    names = sorted(homes)

    def __getattr__(name):
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(f"{package}.{homes[name]}")
        return module if homes[name] == name else getattr(module, name)

    def __dir__():
        return names

    return __getattr__, __dir__, names
