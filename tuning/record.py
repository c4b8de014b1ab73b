"""Write down what a search found: `python tuning/record.py FOLDER NAME`.

The record, tuning/results/NAME.json, has the settings, the machine's shape, every
trial, and the importances that the report shows. The pages beside it quote it.
"""

import json
import sys
from pathlib import Path

from keras_dlparts import Search
from keras_dlparts.searching.importance import importance


def record(folder, name):
    search = Search(folder)
    rows, r2 = importance(search)
    machine = {k: search.environment[k] for k in ("backend", "cpu_count", "memory_gb")}
    found = {
        "file": f"tuning/{name}.yaml",
        "settings": search.settings,
        "versions": search.environment["versions"],
        "machine": machine,
        "seconds": search.seconds,
        "steps_saved": search.steps_saved,
        "importance": {"r2": round(r2, 3), **{n: round(v, 3) for n, v, _ in rows}},
        "trials": [
            {
                "trial": trial.trial_id,
                search.objective: trial.score,
                "values": trial.values,
                **{k: trial.notes.get(k) for k in ("epochs", "asked", "seconds")},
                **({"reason": trial.notes["reason"]} if trial in search.failed else {}),
            }
            for trial in [*search.ranked(), *search.failed]
        ],
    }
    path = Path(__file__).parent / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")
    print(path)


if __name__ == "__main__":
    record(*sys.argv[1:])
