"""How a search ends where it cannot go on."""

from keras_dlparts.config.errors import ConfigError, Problem


class SearchFailed(RuntimeError):
    """The search could not go on; the message says why. What is finished is kept."""


def refuse(message):
    """Raise a ConfigError that has no place in the config."""
    raise ConfigError([Problem("", (), "", message)])
