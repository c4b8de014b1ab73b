"""One device: what Keras does anyway."""

import contextlib


class OneDevice:
    """A strategy of one device, with what callers use of every strategy."""

    num_replicas_in_sync = 1

    def scope(self) -> contextlib.AbstractContextManager:
        return contextlib.nullcontext(self)


def strategy() -> OneDevice:
    """Train on the one device that Keras chooses."""
    return OneDevice()
