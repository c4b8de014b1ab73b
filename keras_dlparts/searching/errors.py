"""How a search ends where it cannot go on."""

import contextlib

from keras_dlparts.config.errors import ConfigError, Problem
from keras_dlparts.runs import BrokenRunError


class SearchFailed(RuntimeError):
    """The search could not go on; the message says why. What is finished is kept."""


def refuse(message):
    """Raise a ConfigError that has no place in the config."""
    raise ConfigError([Problem("", (), "", message)])


@contextlib.contextmanager
def told_if_damaged(path):
    """A context in which a search's file is read, and named where it is damaged."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BrokenRunError(
            f"{str(path)!r} is broken: it does not hold what a search writes there "
            f"({type(error).__name__}: {error}). Restore the file from a copy, or "
            "search anew in another folder."
        ) from error
