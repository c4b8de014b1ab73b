"""Repeat what papers claim.

    python -m examples.claims                        all claims and their verdicts
    python -m examples.claims NAME [NAME ...]        run some, go on where they stopped
    python -m examples.claims --all --budget hours   run all that have this budget

A row is written after each way and seed, so that a run may be stopped at any time. Rows
whose settings have changed since are done again.
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
        "--out", type=Path, help="folder of results; by default the claim's own"
    )
    asked = parser.parse_args(arguments)
    claims = {claim.name: claim for claim in load_all()}
    if unknown := [name for name in asked.names if name not in claims]:
        parser.error(f"there is no claim {unknown[0]!r}; there are {', '.join(claims)}")
    if asked.seeds is not None and asked.seeds < 1:
        parser.error(f"--seeds must be at least 1. Received: {asked.seeds}")
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
        for option in ("budget", "seeds", "data", "out"):
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
    with tempfile.TemporaryDirectory() as temporary:
        attempt(claim, asked, Path(temporary))
    return 0


def attempt(claim, asked, temporary):
    import keras

    from examples.claims import data, pictures, verdict
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
    rows, module = claim.rows(budget, out), claim.module()
    wanted = claim.wanted(rows, seeds)
    for i, (seed, way) in enumerate(wanted, 1):
        place = f"{way}, seed {seed} ({i} of {len(wanted)})"
        print(f"{claim.name}, {budget}: {place}", flush=True)
        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        rows.append(claim.run(module, way, seed, budget, folder))
        row = rows[-1]
        told = [f"{key} {row[key]:.4g}" for key in claim.figures if key in row]
        print("   ", ", ".join(told), flush=True)
        backend = keras.backend.backend()
        command = f"KERAS_BACKEND={backend} python -m examples.claims {claim.name}"
        write(claim.result(budget, out), f"{command} --budget {budget}", rows)
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
