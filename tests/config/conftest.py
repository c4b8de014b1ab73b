"""The real command in this process, and its problems as {place and path: message}."""

import sys

import pytest

from keras_dlparts import cli


@pytest.fixture
def dlparts(tmp_path, monkeypatch, capsys):
    """`dlparts(*argv)` in an empty folder -> (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*argv):
        monkeypatch.setattr(sys, "argv", ["dlparts", *argv])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return (stop.value.code or 0, *capsys.readouterr())

    return run


@pytest.fixture
def refused(dlparts, tmp_path):
    """Check a file that must be refused: {"line:column  path": message}, in order.

    `text` None checks what is there already; the file's name is left out.
    """

    def check(text, name="config.yaml", *more):
        if text is not None:
            data = text if isinstance(text, bytes) else text.encode()
            (tmp_path / name).write_bytes(data)
        code, out, err = dlparts("check", name, *more)
        assert code == 2, out + err
        assert out == ""
        assert "Traceback" not in err
        assert "{{" not in err
        assert "[Op:" not in err
        told, places, head = {}, [], ""
        for line in err.splitlines():
            if line.startswith("  "):
                told[head] += line.strip() + "\n"
            else:
                assert line.startswith((name, "--set")), err
                head = line.removeprefix(name).removeprefix(":").strip()
                assert head not in told, err
                told[head] = ""
                place = head.partition(" ")[0].split(":")
                places.append([int(n) for n in place if n.isdigit()])
        assert places == sorted(places)
        return told

    return check


@pytest.fixture
def assert_told(refused):
    """Check that a file is refused with just these problems, one phrase each."""

    def check(expected, text, name="config.yaml", *more):
        told = refused(text, name, *more)
        assert list(told) == list(expected)
        for head, phrase in expected.items():
            assert phrase in told[head]

    return check
