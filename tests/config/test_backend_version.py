"""The version of the backend is found without reading what everything installed has."""

import importlib.metadata

from keras_dlparts.config import backends


def test_it_is_what_all_installed_files_say(monkeypatch):
    find = backends.backend_version.__wrapped__  # without what it has found before
    known = importlib.metadata.packages_distributions()
    wanted = {}
    for backend in backends._USUAL:
        names = sorted({*known.get(backend, [])})[:1]
        wanted[backend] = {name: importlib.metadata.version(name) for name in names}
    assert any(wanted.values())
    with monkeypatch.context() as patched:
        patched.setattr(importlib.metadata, "packages_distributions", _slow)
        for backend, version in wanted.items():
            if version:
                assert find(backend) == version
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: known)
    # A distribution of another name, and one that has no such package.
    other = next(backend for backend, version in wanted.items() if version)
    for usual in ((), ("numpy",)):
        monkeypatch.setitem(backends._USUAL, other, usual)
        assert find(other) == wanted[other]


def _slow():
    raise AssertionError("every installed distribution was read")
