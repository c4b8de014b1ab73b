"""The checks of arguments that parts share: the rule, what was received."""

import numbers


def check_count(name, value, least=1):
    """Raise unless `value` is an integer of at least `least`; else return it."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"`{name}` must be an integer. Received: {name}={value!r}")
    if value < least:
        raise ValueError(f"`{name}` must be at least {least}. Received: {name}={value}")
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
