"""What a run notes of the repository that its config is in."""

import hashlib
import subprocess
import time

import pytest

from keras_dlparts.training import code_state as module
from keras_dlparts.training.code_state import code_state, note


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with one commit of one file, whose remote has a password."""
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "repository"
    folder.mkdir()

    def git(*arguments):
        done = subprocess.run(
            ["git", "-C", folder, *arguments], check=True, capture_output=True
        )
        return done.stdout.decode().strip()

    git("init", "-q", "-b", "trunk")
    git("config", "user.email", "a@b.c")
    git("config", "user.name", "A")
    git("remote", "add", "origin", "https://user:secret-word@example.org/a.git")
    (folder / "a.py").write_text("one\n")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    return folder, git


def test_a_clean_tree(repository, tmp_path):
    folder, git = repository
    facts = note(tmp_path, folder)
    assert facts == {
        "commit": git("rev-parse", "HEAD"),
        "branch": "trunk",
        "changed": False,
    }
    assert not (tmp_path / module.DIFF).exists()


def test_changes_are_kept_and_can_be_applied(repository, tmp_path):
    folder, git = repository
    (folder / "a.py").write_text("two\n")
    (folder / "new.py").write_text("unknown to git\n")
    facts = note(tmp_path, folder)
    assert facts["changed"] is True
    assert facts["untracked"] == ["new.py"]
    diff = (tmp_path / facts["diff"]).read_bytes()
    assert facts["diff_sha256"] == hashlib.sha256(diff).hexdigest()
    git("checkout", "-q", "a.py")
    git("apply", str(tmp_path / facts["diff"]))
    assert (folder / "a.py").read_text() == "two\n"


def test_a_large_diff_is_hashed_only(repository, tmp_path, monkeypatch):
    folder, _ = repository
    monkeypatch.setattr(module, "_MOST_DIFF", 10)
    (folder / "a.py").write_text("two\n")
    facts = note(tmp_path, folder)
    assert "diff_sha256" in facts
    assert "diff" not in facts


def test_no_branch(repository):
    folder, git = repository
    git("checkout", "-q", "--detach")
    assert code_state(folder)[0]["branch"] is None


def test_no_password_is_noted(repository, tmp_path):
    folder, _ = repository
    (folder / "a.py").write_text("two\n")
    facts = note(tmp_path, folder)
    assert "secret-word" not in str(facts)
    assert b"secret-word" not in (tmp_path / facts["diff"]).read_bytes()


def test_programs_that_a_repository_names_are_not_started(repository, tmp_path):
    folder, git = repository
    for setting in ("core.fsmonitor", "diff.external", "diff.mine.textconv"):
        git("config", setting, f"touch {tmp_path}/{setting}; true")
    (folder / ".gitattributes").write_text("*.py diff=mine\n")
    (folder / "a.py").write_text("two\n")
    assert code_state(folder)[0]["changed"] is True
    assert not [path.name for path in tmp_path.glob("*.*") if "." in path.name[1:]]


def test_the_first_directory_in_a_repository_counts(repository, tmp_path):
    assert code_state(tmp_path, repository[0])[0]["branch"] == "trunk"


def test_no_repository_no_commit_no_git_no_answer(tmp_path, monkeypatch):
    assert code_state(tmp_path) == ({}, b"")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    assert code_state(tmp_path) == ({}, b"")
    assert code_state(tmp_path / "absent") == ({}, b"")

    def slow(*arguments, timeout, **options):
        raise subprocess.TimeoutExpired("git", timeout)

    monkeypatch.setattr(subprocess, "run", slow)
    started = time.monotonic()
    assert code_state(tmp_path) == ({}, b"")
    assert time.monotonic() - started < 1
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert code_state(tmp_path) == ({}, b"")
