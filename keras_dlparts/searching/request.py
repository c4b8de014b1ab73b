"""What a search is asked for: a config, opened, with its space and its settings."""

import json
import os

from keras_dlparts.config import objects
from keras_dlparts.config.document import copied
from keras_dlparts.config.experiment import opened, settled
from keras_dlparts.config.whole_space import whole_space
from keras_dlparts.searching.oracles import direction_of
from keras_dlparts.searching.space import require

_MANY = 10  # trials, where no number is given and the algorithm could go on for ever


class Request:
    """A search's config, opened, with its settings resolved.

    Args:
        config: path of a YAML, TOML or JSON file, or the dict itself.
        sets: texts such as `"fit.epochs=3"` that override it.
        asked: what search.json says, where the config is the copy in its folder.

    Attributes:
        opened: `(document, given)` of the config.
        spaces: the whole search space.
        name: the experiment's name.
        epochs: its `fit.epochs`.
        settings: its `search:` section, every default written out.
        config: the config as a dict, with its space and its name.
        folder: what the paths in the config are relative to.
    """

    def __init__(self, config, sets, asked=None):
        folder = None
        if asked is not None:
            folder = asked.get("relative_to")
            sets = [f"name={json.dumps(asked['config']['name'])}", *sets]
        self.opened = opened(config, sets, folder)
        document, given = self.opened
        objects.refuse(document, "a search")
        self.spaces = whole_space(document)
        experiment = settled(document, given)  # raises for what is wrong in either
        self.name = experiment.settings.name
        self.epochs = experiment.settings.fit.epochs
        self._by_name = _goes_by_name(experiment.settings)
        self.settings = _resolved(experiment.settings)
        self.config = {**copied(document.values), "name": self.name}
        self.folder = os.path.abspath(document.folder)
        self._check_settings(document, experiment)

    def _check_settings(self, document, experiment):
        require(self.spaces, document)
        if experiment.data is None:
            message = "`data:` is missing; a search needs a data source"
            document.problem((), message)
        if self.settings.algorithm == "hyperband":
            for space in self.spaces:
                if space.path == ("fit", "epochs"):
                    message = "hyperband says how long to train; give a plain number"
                    document.problem(space.path, message)
            if self.settings.median_rule:
                message = "hyperband stops trials itself; leave out one of the two"
                document.problem(("search", "median_rule"), message)
        self._check_validation(document, experiment.settings.fit)
        document.raise_problems()

    def _check_validation(self, document, fit):
        """Refuse an objective of validation that some trial would end without."""
        objective, often = self.settings.objective, fit.validation_freq
        if not objective.startswith("val_"):
            return
        message = ""
        if self.settings.algorithm == "hyperband" and often > 1:
            message = "hyperband compares trials after rounds of few epochs, each of "
            message += f"which must end with validation for the objective {objective!r}"
        elif often > fit.epochs:
            message = f"validation never runs in {fit.epochs} epochs; the objective is "
            message += repr(objective)
        if message:
            path = ("fit", "validation_freq")
            document.problem(path, f"{message}. Received: {often}")

    def described_data(self):
        """What `same_data.described` notes of the data, with the space's defaults."""
        from keras_dlparts.training import same_data

        return same_data.described(made_data(settled(*self.opened)))

    def check(self):
        """Make every branch of the space once, and look for the objective.

        Returns: what `described_data` would.
        """
        from keras_dlparts.config.branches import check_opened
        from keras_dlparts.config.watching import check_name
        from keras_dlparts.searching.objective import no_objective
        from keras_dlparts.training import same_data

        made, _ = check_opened(*self.opened)
        noted = same_data.described(made.data)
        if self._by_name:
            document, path = self.opened[0], ("search", "direction")
            check_name(document, path, self.settings.objective, made.model)
            document.raise_problems()
        if made.callbacks:  # they may add columns; the first trial tells
            return noted
        known = [*made.model.get_metrics_result()]
        made.model.reset_metrics()
        if made.data.validation is not None:
            known += [f"val_{name}" for name in known]
        if self.settings.objective not in known:
            problem = no_objective(self.settings.objective, known).problems[0]
            document = self.opened[0]
            document.problem(("search", "objective"), problem.message)
            document.raise_problems()
        return noted


def made_data(experiment):
    """The data source that a config names, made as where training makes it."""
    import keras

    from keras_dlparts.config.construct import construct

    keras.utils.set_random_seed(experiment.settings.seed)
    data = construct(experiment.document, experiment.data)
    experiment.document.raise_problems()
    return data


def _goes_by_name(settings):
    """Whether nothing but its name tells the direction of the objective."""
    search, best = settings.search, settings.best
    told = search.objective == best.monitor and best.mode != "auto"
    return search.direction == "auto" and not told


def _resolved(settings):
    """The `search:` section, with what it takes from the rest of the config."""
    search, best = settings.search, settings.best
    if search.seed is None:
        search.seed = settings.seed % 2**31
    if search.trials is None and search.algorithm in ("random", "bayesian"):
        search.trials = _MANY
    if search.direction == "auto" and search.objective == best.monitor:
        search.direction = best.mode  # the config says which way is better
    search.direction = direction_of(search)
    return search
