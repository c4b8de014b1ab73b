"""What the benchmarks share: times, their ratios, and the file that they write.

A result is a file of JSON:

    {"command": ..., "versions": {...}, "machine": {...}, "rows": [{...}, ...]}

A row says what was measured, and has its figures in columns. A figure is a number, or
`{"median": ..., "least_and_most": [...], "quartiles": [...], "rounds": ...}`, of which
older files have only some. `python -m benchmarks` reads these files.
"""

import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # `examples` is found wherever a benchmark is called


def seconds(run):
    """What a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def spread(ratios):
    """The median of the ratios of several rounds, and how far they lie apart."""
    ratios = [*ratios]
    low, middle, high = (
        statistics.quantiles(ratios, n=4, method="inclusive")
        if len(ratios) > 1
        else 3 * ratios
    )
    return {
        "median": middle,
        "least_and_most": [min(ratios), max(ratios)],
        "quartiles": [low, high],
        "rounds": len(ratios),
    }


def pairwise(over, under):
    """The spread of the ratios round by round."""
    return spread([a / b for a, b in zip(over, under, strict=True)])


def process(command, **environment):
    """A command in a process of its own: what it took, and what it printed.

    Returns:
        `{"seconds", "processor_seconds", "peak_mb", "printed"}`. The seconds of the
        processor are those of the processes that it started, too; the peak is that of
        the largest of all these processes.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        child = subprocess.Popen(
            [*map(str, command)],
            stdout=out,
            stderr=errors,
            env=os.environ | environment,
        )
        _, status, usage = os.wait4(child.pid, 0)
        took = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        if child.returncode:
            told = errors.read().decode(errors="replace")
            raise RuntimeError(f"{shlex.join(child.args)} failed:\n{told[-2000:]}")
        return {
            "seconds": took,
            "processor_seconds": usage.ru_utime + usage.ru_stime,
            "peak_mb": usage.ru_maxrss / 2**10,
            "printed": out.read().decode(errors="replace"),
        }


def write(rows, name, out=None):
    """Write rows to `out`, or to `benchmarks/results/NAME.json`, where they are cited.

    The command in the file is the one that was called, less its `--out`, and with
    FOLDER for a folder of images.
    """
    from examples.studies import write as write_result

    told = sys.argv[1:]
    if "--out" in told:
        at = told.index("--out")
        del told[at : at + 2]
    if "--images" in told:
        told[told.index("--images") + 1] = "FOLDER"
    script = Path(sys.argv[0]).name
    command = shlex.join(["python", f"benchmarks/{script}", *told])
    if backend := os.environ.get("KERAS_BACKEND"):
        command = f"KERAS_BACKEND={backend} {command}"
    path = out or ROOT / "benchmarks" / "results" / f"{name}.json"
    write_result(Path(path), command, rows)
