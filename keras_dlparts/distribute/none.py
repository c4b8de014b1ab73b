"""One device: what Keras does anyway."""

import contextlib


class OneDevice:
    """A strategy that shares nothing; it has what the code around one asks for."""

    num_replicas_in_sync = 1

    def scope(self):
        return contextlib.nullcontext(self)


def strategy():
    """Train on the one device that Keras chooses."""
    return OneDevice()
