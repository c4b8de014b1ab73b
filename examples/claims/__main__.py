"""Repeat what papers claim.

    python -m examples.claims                        all claims and their verdicts
    python -m examples.claims NAME [NAME ...]        run some, go on where they stopped
    python -m examples.claims --all --budget hours   run all that have this budget

A row is written after each way and seed, so that a run may be stopped at any time. Rows
whose settings have changed since are done again. With `--jobs` several processes make
rows at the same time, which small nets on a large machine or on a GPU are glad of.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from examples.claims.claim import BUDGETS, ROOT, load_all


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m examples.claims",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--all", action="store_true", help="run every claim")
    parser.add_argument("--budget", choices=BUDGETS, default="minutes")
    parser.add_argument(
        "--seeds", type=int, help="how many; by default as many as the claim lists"
    )
    parser.add_argument(
        "--data",
        type=Path,
        help="folder with mnist/ and fashion-mnist/; without it Keras fetches them",
    )
    parser.add_argument(
        "--jobs", type=int, default=1, help="how many rows are made at the same time"
    )
    parser.add_argument(
        "--out", type=Path, help="folder of results; by default the claim's own"
    )
    asked = parser.parse_args(arguments)
    claims = {claim.name: claim for claim in load_all()}
    if unknown := [name for name in asked.names if name not in claims]:
        parser.error(f"there is no claim {unknown[0]!r}; there are {', '.join(claims)}")
    for option in ("seeds", "jobs"):
        if (count := getattr(asked, option)) is not None and count < 1:
            parser.error(f"--{option} must be at least 1. Received: {count}")
    if asked.all:
        chosen = [c for c in claims.values() if asked.budget in c.budgets]
    else:
        chosen = [claims[name] for name in asked.names]
    if not chosen:
        print_all(claims.values(), asked.out)
        return 0
    if len(chosen) == 1:
        return run(chosen[0], asked)
    return max(one_by_one(chosen, asked))


def one_by_one(chosen, asked):
    """Each claim in a process of its own, for each may want another backend."""
    for claim in chosen:
        command = [sys.executable, "-m", "examples.claims", claim.name]
        for option in ("budget", "seeds", "data", "jobs", "out"):
            if (value := getattr(asked, option)) is not None:
                command += [f"--{option}", str(value)]
        yield subprocess.run(command, cwd=ROOT).returncode


def run(claim, asked):
    """Make the rows that are missing, and the picture; say what they say."""
    if asked.budget not in claim.budgets:
        print(f"{claim.name} has the budgets {', '.join(claim.budgets)}")
        return 2
    if claim.backend and "keras" not in sys.modules:  # later it would change nothing
        os.environ.setdefault("KERAS_BACKEND", claim.backend)
    if asked.jobs > 1:  # else the first process takes most of a GPU's memory
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    with tempfile.TemporaryDirectory() as temporary:
        attempt(claim, asked, Path(temporary))
    return 0


def attempt(claim, asked, temporary):
    import keras

    from examples.claims import data, pictures, verdict
    from examples.claims.making import made
    from examples.studies import write

    out, budget = asked.out, asked.budget
    if budget == "smoke":  # its figures mean nothing, so they are kept only on request
        out = out or temporary
    seeds = claim.seeds[: asked.seeds]
    seeds += [max(seeds) + 1 + i for i in range((asked.seeds or 0) - len(seeds))]
    folder = None
    if claim.data:
        folder = (
            data.made(temporary / "data")
            if budget == "smoke"
            else data.folder(claim.data, asked.data)
        )
    rows = claim.rows(budget, out)
    wanted, ways = claim.wanted(rows, seeds), [*claim.ways]
    backend = keras.backend.backend()
    command = f"KERAS_BACKEND={backend} python -m examples.claims {claim.name}"
    command += f" --budget {budget}" + f" --jobs {asked.jobs}" * (asked.jobs > 1)
    print(f"{claim.name}, {budget}: {len(wanted)} rows to make", flush=True)
    for i, row in enumerate(made(claim, wanted, budget, folder, asked.jobs), 1):
        told = [f"{key} {row[key]:.4g}" for key in claim.figures if key in row]
        place = f"{i} of {len(wanted)}: {row['way']}, seed {row['seed']}"
        print(f"{place}: {', '.join(told)}", flush=True)
        rows.append(row)
        rows.sort(key=lambda row: (row["seed"], ways.index(row["way"])))
        write(claim.result(budget, out), command, rows)
    pictures.save(claim, budget, claim.rows(budget, out), out)
    print_verdict(claim, verdict.verdict(claim, budget, rows))


def print_verdict(claim, found):
    print(f"\n{claim.claim}\n{claim.source}")
    for one in found.judged:
        difference = f"{one.mean:+.3g} +- {one.half:.2g}"
        print(f"  {one.state:12} {one.criterion.say} ({difference})")
    print(f"{found.word}: {len(found.seeds)} seeds, budget {found.budget}")


def print_all(claims, out):
    from examples.claims.verdict import verdicts

    for claim in claims:
        last = [f"{one.word} ({one.budget})" for one in verdicts(claim, out)][-1:]
        print(f"{claim.name}: {' '.join(last) or 'not run'}\n    {claim.claim}")


if __name__ == "__main__":
    sys.exit(main())
