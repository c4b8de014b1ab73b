"""What holds for all tests of a process, and what they share."""

import gc
import itertools
import signal

import pytest

# What starts the tests may ignore Ctrl-C, as a shell does for a job in the background.
# The processes that tests start and stop would ignore it too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

gc.disable()  # The imports make half a million objects, which stay.

# The contract's replicas need a processor in two before any test starts a backend.
import keras_dlparts.testing  # noqa: E402, F401
from keras_dlparts.support import progress  # noqa: E402

gc.enable()
gc.freeze()  # No collection looks at them again.

_FINISHED = itertools.count(1)


def pytest_runtest_logfinish():
    """Collect the garbage of some tests, and never look again at what is left.

    A full collection goes through every object that is alive. What a thousand tests
    leave in caches makes one take seconds, and each search trial asks for one.
    """
    if next(_FINISHED) % 50 == 0:
        gc.collect()
        gc.freeze()


@pytest.fixture
def said(monkeypatch):
    """The list of the lines of news that are reported during the test."""
    lines = []
    news = progress.news
    monkeypatch.setattr(
        progress,
        "news",
        lambda verbose="auto": (news(verbose), lines.append)[progress.reports(verbose)],
    )
    return lines


@pytest.fixture
def channels_first():
    """Keras' layers and functions take images (batch, channels, height, width)."""
    import keras

    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


@pytest.fixture
def compiling():
    """TensorFlow compiles nothing in a process that an earlier test made repeat."""
    from keras_dlparts import backend

    if backend.can_compile():
        yield
        return
    from tensorflow.python.framework import config

    config.disable_op_determinism()
    yield
    backend.make_deterministic()
