"""docs/claims.md: all claims with their verdicts, from their files."""

from collections import Counter

import numpy as np

from examples.claims.claim import ROOT, TOPICS, load_all
from examples.claims.tables import table
from examples.claims.verdict import complete_seeds, values, verdicts

HEAD = """# Claims of papers, repeated

Each claim below is a folder of [`examples/claims`](../examples/claims) that anyone can
run again:

```sh
python -m examples.claims                 # all claims and their verdicts
python -m examples.claims degradation     # run one; it goes on where it stopped
python -m examples.claims --all           # run all at the budget of minutes
python -m examples.claims --all --budget gpu --jobs 4
```

Without `--data FOLDER` Keras fetches MNIST and Fashion-MNIST. `--jobs` says how many
processes share the work of a claim; the minutes told are the sum of theirs.

A verdict comes from a rule and not from a hand. What must come out is written before
the run, as comparisons of figures. A comparison *holds* if the 95 % interval of the
mean difference over seeds, by Student's t, is all on the claimed side, is
*contradicted* if it is all on the other side, and else stays *open*. A claim is
**reproduced** if all hold, **partly** if some do, **not** if none does, and **not at
this budget** if not all hold in runs that are shorter, or of smaller nets, than what
the effect needs. Claims that did not come out stay here.
"""
NAMES = {  # of people, and abbreviations
    "boltzmann": "Boltzmann",
    "carlo": "Carlo",
    "hopfield": "Hopfield",
    "jacobian": "Jacobian",
    "lsuv": "LSUV",
    "rbm": "RBM",
    "vae": "VAE",
}
DIFFERENCE = "difference, mean and half its interval"


def markdown():
    """The whole page."""
    claims = load_all()
    judged = {claim.name: verdicts(claim) for claim in claims}
    words = Counter(found[-1].word if found else "not run" for found in judged.values())
    told = ", ".join(f"{count} {word}" for word, count in words.most_common())
    lines = [HEAD, f"Of {len(claims)} claims: {told}.", "", *index(claims, judged)]
    for topic in TOPICS:
        own = [claim for claim in claims if claim.topic == topic]
        lines += [f"## {topic}", ""] if own else []
        for claim in own:
            lines += section(claim, judged[claim.name])
    return "\n".join(lines).rstrip() + "\n"


def title(claim):
    words = claim.name.capitalize().split("_")
    return " ".join(NAMES.get(word.lower(), word) for word in words)


def index(claims, judged):
    yield "| claim | verdict | budget | seeds | minutes |"
    yield "|---|---|---|---|---|"
    for claim in claims:
        anchor = title(claim).lower().replace(" ", "-")
        for found in judged[claim.name][-1:]:
            cells = [found.word, found.budget, len(found.seeds), minutes(claim, found)]
            told = " | ".join(map(str, cells))
            yield f"| [{title(claim)}](#{anchor}) | {told} |"
        if not judged[claim.name]:
            yield f"| [{title(claim)}](#{anchor}) | not run | | | |"
    yield ""


def minutes(claim, found):
    """What all rows took together, where that was measured."""
    seconds = [row.get("seconds") for row in claim.rows(found.budget)]
    if None in seconds:
        return ""
    return max(1, round(sum(seconds) / 60))


def section(claim, found):
    """One claim."""
    yield f"### {title(claim)}"
    yield ""
    yield f"> {claim.claim}"
    yield ""
    yield f"{claim.source}. The parts: [{claim.page}]({claim.page})."
    yield ""
    if found and claim.image().exists():
        picture = claim.image().relative_to(ROOT).as_posix()
        yield f"![{title(claim)}](../{picture})"
        yield ""
    for one in found:
        seeds = "one seed" if len(one.seeds) == 1 else f"{len(one.seeds)} seeds"
        yield f"**{one.word.capitalize()}**, {seeds}, budget of {one.budget}."
        yield ""
        if one.judged:
            yield f"| what must come out | {DIFFERENCE} | |"
            yield "|---|---|---|"
            for each in one.judged:
                difference = f"{each.mean:+.3g} ± {each.half:.2g}"
                yield f"| {each.criterion.say} | {difference} | {each.state} |"
            yield ""
    if found and (figures := table(claim, found[-1].budget)):
        yield figures
        yield ""
    yield from published(claim, found)
    for text in (claim.found, claim.settings):
        if text:
            yield text.strip()
            yield ""
    budget = found[-1].budget if found else claim.needs
    more = f" --budget {budget}" if budget != "minutes" else ""
    yield f"`python -m examples.claims {claim.name}{more}`"
    yield ""


def published(claim, found):
    """The paper's figures beside ours."""
    if not claim.published:
        return
    yield "| | published | here |"
    yield "|---|---|---|"
    rows = claim.rows(found[-1].budget) if found else []
    seeds = complete_seeds(claim, rows)
    for one in claim.published:
        here = ""
        if one.of and seeds:
            ours = values(rows, one.of, one.figure, seeds)
            here = f"{np.mean(ours):.4g}"
            here += f" ± {np.std(ours, ddof=1):.2g}" if len(ours) > 1 else ""
        yield f"| {one.what} | {one.value} | {here} |"
    yield ""
