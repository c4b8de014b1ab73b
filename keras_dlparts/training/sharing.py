"""A run on several devices: its strategy, its model and data made ready for it."""

from keras_dlparts import backend, distribute
from keras_dlparts.config.construct import own_words
from keras_dlparts.distribute import shares


class Sharing:
    """How the devices of a run share its batches; one device shares nothing.

    Args:
        experiment: The checked config. An `auto` in it becomes what was picked.
        say: Called with each line of news.
    """

    def __init__(self, experiment, say):
        self.document, self.settings = experiment.document, experiment.settings
        self.say = say
        chosen = self.settings.distribute
        try:
            if chosen.use == "auto":
                chosen.use, why = distribute.pick()
                say(f"distribute: auto is {chosen.use}: {why}")
            self.strategy = distribute.strategy(chosen.use, **chosen.options())
        except (ValueError, TypeError) as error:
            self.refuse(own_words(error))
        self.replicas = distribute.replicas(self.strategy)
        if chosen.use != "none":
            say(f"distribute: {chosen.use}, {self.replicas} replicas")

    def refuse(self, message, path=("distribute",)):
        """Raise a ConfigError."""
        self.document.problem(path, message)
        self.document.raise_problems()

    def scope(self):
        return self.strategy.scope()

    def prepare(self, made):
        """Make an assembled model ready to be shared."""

    def train(self, batches):
        """The training data as `fit` is to have it."""
        if self.settings.distribute.use == "multi_worker":
            weight = self.settings.fit.class_weight
            return shares.share(batches, self.strategy, class_weight=weight)
        return batches

    def validation(self, batches):
        """The validation data as `fit` is to have it; None stays None."""
        if batches is not None and self.settings.distribute.use == "multi_worker":
            return shares.share(batches, self.strategy, even=False)
        return batches

    def fit_arguments(self, arguments):
        """The other arguments of `fit`, without those that the data has taken."""
        if self.settings.distribute.use == "multi_worker" and backend.name() != "jax":
            return arguments | {"class_weight": None}
        return arguments
