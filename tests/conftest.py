"""What all tests share; the contract's replicas need a processor in two before any
test starts a backend."""

import pytest

import keras_dlparts.testing  # noqa: F401
from keras_dlparts.support import progress


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
