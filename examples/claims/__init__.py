"""What papers and lecture notes claim, as runs: `python -m examples.claims`.

A claim is a folder:

    claim.yaml     the claim, its source, how it is tried, and what would reproduce it
    run.py         `run(seed, data, **settings)`: the figures of one way and seed
    config.yaml    in place of `run.py`, where training a config says it all
                   (where claims share one, `claim.yaml` has `config: ../NAME.yaml`)
    minutes.json   what came out at a budget, with versions, machine and seeds
    minutes.md     the same as a table, for the pages of the documentation: `tables.py`
    picture.svg    what came out, as a picture

`claim.yaml` names the ways that are compared, with the settings of each, and budgets,
whose settings all ways get. What would reproduce the claim is a list of comparisons,
written before the run, and a rule makes a verdict of them: see `verdict.py`.
"""
