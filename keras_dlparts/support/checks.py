"""The checks of arguments that parts share: the rule, what was received."""

import math
import numbers
import os


def check_count(name, value, least=1):
    """Raise unless `value` is an integer of at least `least`; else return it."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"`{name}` must be an integer. Received: {name}={value!r}")
    if value < least:
        raise ValueError(f"`{name}` must be at least {least}. Received: {name}={value}")
    return value


def check_number(name, value, least=None, above=None, below=None, most=None):
    """Raise unless `value` is a finite number in the range; else return it.

    Args:
        name: What the argument is called.
        value: What was received.
        least: Optional number, the smallest there may be.
        above: Optional number that it must exceed.
        below: Optional number that it must stay under.
        most: Optional number, the largest there may be.
    """
    ends = (
        ("at least", least),
        ("greater than", above),
        ("less than", below),
        ("at most", most),
    )
    limits = [f"{words} {end}" for words, end in ends if end is not None]
    rule = ", ".join([f"`{name}` must be a finite number", *limits])
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{rule}. Received: {name}={value!r}")
    inside = (
        math.isfinite(value)
        and (least is None or value >= least)
        and (above is None or value > above)
        and (below is None or value < below)
        and (most is None or value <= most)
    )
    if not inside:
        raise ValueError(f"{rule}. Received: {name}={value}")
    return value


def check_rate(name, rate):
    """Raise unless `0 <= rate < 1`."""
    if isinstance(rate, bool) or not isinstance(rate, numbers.Real):
        raise TypeError(
            f"`{name}` must be a number with 0 <= {name} < 1. Received: {name}={rate!r}"
        )
    if not 0 <= rate < 1:
        raise ValueError(
            f"`{name}` must satisfy 0 <= {name} < 1; at 1 nothing would be left. "
            f"Received: {name}={rate}"
        )


def check_word(name, value, words):
    """Raise unless `value` is one of `words`."""
    if value not in words:
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(repr, words))}. "
            f"Received: {name}={value!r}"
        )


def check_flag(name, value):
    """Raise unless `value` is True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"`{name}` must be True or False. Received: {name}={value!r}")


def check_path(name, value):
    """Raise unless `value` names a path."""
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise TypeError(f"`{name}` must be a path. Received: {name}={value!r}")
