"""Files are whole or not there, and a full disk stops a run with a clear message."""

import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys

import numpy as np
import pytest

from keras_dlparts.support import files

CONFIG = {
    "data": {"use": "spirals", "samples": 300, "batch_size": 32},
    "model": [
        {"use": "Dense", "units": 64},
        {"use": "Dropout", "rate": 0.5},
        {"use": "Dense", "units": 3},
    ],
    "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
    "fit": {"epochs": 3, "checkpoint_every": 4},
}


def test_a_file_is_the_old_one_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    with contextlib.suppress(KeyError), files.whole(path) as partial:
        partial.write_text("half")
        assert path.read_text() == "old"
        raise KeyError
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


def test_a_folder_that_is_gone_is_told(tmp_path):
    folder = tmp_path / "run"
    for write in (
        lambda: files.write_text(folder / "a.txt", "text"),
        lambda: files.write_arrays(folder / "a.npz", {"x": np.zeros(2)}),
    ):
        with pytest.raises(FileNotFoundError, match=r"^.*run.a.* its folder is gone"):
            write()
    with (
        pytest.raises(FileNotFoundError, match=r"No such file .*no\.txt"),
        files.whole(tmp_path / "a.txt"),
    ):
        (tmp_path / "no.txt").read_text()


def test_arrays_come_back_or_are_known_to_be_damaged(tmp_path):
    path = tmp_path / "a.npz"
    assert files.read_arrays(path) is None
    files.write_arrays(path, {"x": np.arange(1000)})
    np.testing.assert_array_equal(files.read_arrays(path)["x"], np.arange(1000))
    path.write_bytes(path.read_bytes()[:-10])
    assert files.read_arrays(path) is None


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has /dev/full")
def test_no_room_is_told_with_the_files_name(tmp_path):
    def fill():
        with files.room(tmp_path / "a.txt"), open("/dev/full", "w") as file:
            file.write("text")
            file.flush()

    with pytest.raises(files.DiskFull, match=r"no room to write .*a\.txt: No space"):
        fill()


def test_a_library_may_hide_the_reason_in_its_own_error():
    text = "file write failed: errno = 28, error message = 'No space left on device'"

    def fail(cause=None):
        with files.room("a"):
            raise ValueError("cannot save") from cause

    for cause in (RuntimeError(text), OSError(28, "x")):
        with pytest.raises(files.DiskFull):
            fail(cause)
    with pytest.raises(ValueError, match="cannot save"):
        fail()


def test_sweeping_leaves_what_is_whole(tmp_path):
    for name in (".partial-1-a.txt", ".partial-22-best.keras", "a.txt", ".hidden"):
        (tmp_path / name).write_text("")
    files.sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "a.txt"]


def dlparts(config, out, *more, limit=None):
    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    asked = ["train", str(config), "--resume", "--out", str(out), *more]
    return subprocess.run(
        [sys.executable, "-m", "keras_dlparts", *asked],
        capture_output=True,
        text=True,
        preexec_fn=limited if limit else None,
    )


@contextlib.contextmanager
def no_large_files(folder):
    """Each file may have 4 KiB: what `ulimit -f` does. A checkpoint has more."""
    yield 4096


@contextlib.contextmanager
def small_disk(folder):
    """A file system of 2 MiB on the folder, full up to 8 KiB."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    kept = folder.with_name("kept")
    shutil.copytree(folder, kept)
    if not shutil.which("mount") or subprocess.run(mount).returncode:
        pytest.skip("only root may mount a small file system")
    try:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        free = os.statvfs(folder)
        filler = folder / "filler"
        filler.write_bytes(bytes(free.f_bavail * free.f_frsize - 8192))
        yield None
        filler.unlink()
        shutil.copytree(folder, kept, dirs_exist_ok=True)
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    shutil.copytree(kept, folder, dirs_exist_ok=True)


@pytest.mark.study
@pytest.mark.parametrize("full", [no_large_files, small_disk])
def test_a_full_disk_stops_the_run_and_leaves_the_last_checkpoint(tmp_path, full):
    config = tmp_path / "config.json"
    config.write_text(json.dumps(CONFIG))
    whole = dlparts(config, tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    out = tmp_path / "out"
    assert dlparts(config, out, "--epochs", "1").returncode == 0
    (run,) = out.iterdir()
    before = sorted((run / "checkpoints").iterdir())
    contents = [path.read_bytes() for path in before]
    with full(out) as limit:
        stopped = dlparts(config, out, limit=limit)
        assert stopped.returncode == 1, stopped.stderr
        assert "Traceback" not in stopped.stderr
        said = " ".join(stopped.stderr.split())
        assert "no room to write" in said
        assert f"the last whole checkpoint is {before[-1].name}." in said
        assert "Make room and go on with --resume" in said
        assert [path.read_bytes() for path in before] == contents
        assert not [*out.glob("**/.partial-*")]
    resumed = dlparts(config, out)
    assert resumed.returncode == 0, resumed.stderr
    (undisturbed,) = (tmp_path / "whole").iterdir()
    last = [sorted((r / "checkpoints").iterdir())[-1] for r in (undisturbed, run)]
    ours, theirs = map(files.read_arrays, last)
    for name, value in theirs.items():
        if name.startswith("variable_"):
            np.testing.assert_array_equal(ours[name], value)
