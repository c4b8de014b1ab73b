"""Measure, compare with what was recorded, and write the table of benchmarks/README.md.

    python -m benchmarks list
    python -m benchmarks run NAME ... | --all | --minutes 20  [--record] [--check]
    python -m benchmarks readme [--check]

See benchmarks/README.md.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time

from benchmarks import table

FRESH = table.HERE.parent / "build" / "bench"
# OpenBLAS is slower with these, and so would be peers that use numpy.
UNSET = "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="do", required=True)
    commands.add_parser("list")
    run = commands.add_parser("run")
    run.add_argument("names", nargs="*")
    run.add_argument("--all", action="store_true", help="all that need nothing special")
    run.add_argument("--minutes", type=float, help="as many as fit, in their order")
    run.add_argument("--record", action="store_true", help="keep what is measured")
    run.add_argument("--check", action="store_true", help="a regression is an error")
    readme = commands.add_parser("readme")
    readme.add_argument(
        "--check", action="store_true", help="only see if it is current"
    )
    asked = parser.parse_args()
    if asked.do == "list":
        for each in table.load()[0]:
            needs = f", needs {each.needs}" if each.needs else ""
            print(f"{each.name}: {each.about} ({each.minutes:g} min{needs})")
        return 0
    if asked.do == "readme":
        return write_readme(only_check=asked.check)
    try:
        wanted = chosen(table.load()[0], asked.names, asked.all, asked.minutes)
    except ValueError as error:
        parser.error(str(error))
    failed, worse = measure(wanted, FRESH, record=asked.record)
    return 1 if failed or (asked.check and worse) else 0


def chosen(benchmarks, names=(), everything=False, minutes=None):
    """The benchmarks that are asked for."""
    if names:
        known = {each.name: each for each in benchmarks}
        if wrong := [name for name in names if name not in known]:
            raise ValueError(f"No such benchmark: {', '.join(wrong)}")
        return [known[name] for name in names]
    if not everything and minutes is None:
        raise ValueError("Say which: names, --all or --minutes")
    usual = [each for each in benchmarks if not each.needs]
    if minutes is None:
        return usual
    taken = []
    for each in usual:
        if each.minutes <= minutes:
            taken.append(each)
            minutes -= each.minutes
    return taken


def measure(benchmarks, folder, record=False):
    """Run benchmarks one by one: (those that failed, the work that got worse)."""
    folder.mkdir(parents=True, exist_ok=True)
    failed, done = [], []
    for each in benchmarks:
        print(f"{each.name}: {each.command} (about {each.minutes:g} min)", flush=True)
        path = folder / f"{each.name}.json"
        path.unlink(missing_ok=True)
        command, told = each.call(folder)
        if command[0] == "python":
            command[0] = sys.executable
        environment = {k: v for k, v in os.environ.items() if k not in UNSET} | told
        environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        began = time.perf_counter()
        with (folder / f"{each.name}.log").open("wb") as log:
            code = subprocess.run(
                command,
                env=environment,
                cwd=table.HERE.parent,
                stdout=log,
                stderr=log,
            ).returncode
        took = (time.perf_counter() - began) / 60
        if code or not path.exists():
            print(f"  FAILED, see {log.name}", flush=True)
            failed.append(each)
        else:
            print(f"  {took:.1f} min", flush=True)
            done.append(each)
    lines, worse = table.fresh_table(done, folder)
    print("", *lines, sep="\n")
    if worse:
        print("\nMore than 10 % worse than recorded:", *worse, sep="\n  ")
    if record:
        for each in done:
            shutil.copyfile(
                folder / f"{each.name}.json", table.RESULTS / f"{each.name}.json"
            )
        write_readme()
    return failed, worse


def write_readme(only_check=False):
    """Write the page, or see whether it is what it would be; returns an exit status."""
    now = table.README.read_text("utf-8") if table.README.exists() else ""
    if now == table.page():
        return 0
    if only_check:
        print("benchmarks/README.md is not current: python -m benchmarks readme")
        return 1
    table.README.write_text(table.page(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
