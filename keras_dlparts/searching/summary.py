"""What a search leaves in its folder at the end: the winner's config and the report."""

import yaml

from keras_dlparts.config import schema
from keras_dlparts.config.experiment import opened, settled
from keras_dlparts.config.searched import branch_labels
from keras_dlparts.searching import report
from keras_dlparts.searching.oracles import keep_the_scored
from keras_dlparts.searching.view import Search
from keras_dlparts.support.files import write_text


def sum_up(path):
    """Write `best/config.yaml`, if a trial was completed, and `report.html`."""
    search = Search(path)
    if search.best is not None:
        resolved = search.best.path / "resolved.yaml"
        if resolved.exists():
            text = resolved.read_text(encoding="utf-8")
        else:  # it was trained on a machine with a folder of its own
            text = yaml.safe_dump(_winner(search), sort_keys=False)
        (path / "best").mkdir(exist_ok=True)
        write_text(path / "best" / "config.yaml", text)
    report.write(path)


def _winner(search):
    """The resolved config of the best trial, made from the trial's values."""
    values = search.best.values

    def choose(name, spec):
        if spec["search"] == "one_of":
            return branch_labels(spec["of"]).index(values[name])
        return values[name]

    experiment = settled(*opened(search.config, folder=search.relative_to), choose)
    experiment.settings.fit.epochs = search.best.notes["asked"]
    keep_the_scored(experiment.settings.best, schema.Search(**search.settings))
    return experiment.resolved()
