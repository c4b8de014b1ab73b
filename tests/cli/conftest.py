"""The command, called in this process."""

import sys

import pytest

from keras_dlparts import cli
from keras_dlparts.cli import console


@pytest.fixture
def dlparts(capfd, monkeypatch):
    """Call the command: returns its exit code, standard output and error."""

    def call(*arguments, width=80):
        monkeypatch.setattr(sys, "argv", ["dlparts", *map(str, arguments)])
        monkeypatch.setattr(console.out, "width", width)
        monkeypatch.setattr(console.err, "width", width)
        capfd.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return call
