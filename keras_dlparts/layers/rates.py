"""The check that drop rates share."""


def check_rate(name, rate):
    """Raise unless `0 <= rate < 1`."""
    if isinstance(rate, bool) or not isinstance(rate, int | float):
        raise TypeError(
            f"`{name}` must be a number with 0 <= {name} < 1. Received: {name}={rate!r}"
        )
    if not 0 <= rate < 1:
        raise ValueError(
            f"`{name}` must satisfy 0 <= {name} < 1; at 1 nothing would be left. "
            f"Received: {name}={rate}"
        )
