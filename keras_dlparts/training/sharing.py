"""A run on several devices: its strategy, its model and data made ready for it."""

import contextlib

from keras_dlparts import backend, distribute, graphs
from keras_dlparts.backend import keras_private
from keras_dlparts.config.calls import ready_objects
from keras_dlparts.data.batches import Batches
from keras_dlparts.distribute import shares
from keras_dlparts.optimizers.wrapping import wrapped_in
from keras_dlparts.support.messages import own_words

# Kinds of parts that have variables, which belong to a strategy.
_WITH_VARIABLES = ("models", "layers", "optimizers", "metrics", "schedules")


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
        except (ValueError, TypeError) as error:
            self.refuse(own_words(error))
        self._check_objects(experiment, chosen.use)
        try:
            self.strategy = distribute.strategy(chosen.use, **chosen.options())
        except (ValueError, TypeError) as error:
            self.refuse(own_words(error))
        self.use, self.replicas = chosen.use, distribute.replicas(self.strategy)
        self.mirrors = self.replicas > 1 and backend.name() == "tensorflow"
        self._check_compiling()
        if self.use != "none":
            several = "replicas" if self.replicas > 1 else "replica"
            say(f"distribute: {self.use}, {self.replicas} {several}")

    def _check_objects(self, experiment, use):
        """Refuse what was made before the devices were chosen: its variables are on
        one of them."""
        if use == "none":
            return
        for call in experiment.calls():
            for ready in ready_objects(call):
                if ready.part.kind in _WITH_VARIABLES and ready.made_by is None:
                    self.refuse(
                        "it was made before the devices were chosen, and cannot be "
                        f"shared by {use}. Received: {ready.part.name}. Give a "
                        "function that makes the whole model and compiles it, as in "
                        "model=lambda: make_model()",
                        ready.path,
                    )

    def refuse(self, message, path=("distribute",)):
        """Raise a ConfigError."""
        self.document.problem(path, message)
        self.document.raise_problems()

    def scope(self):
        """Where models and optimizers are made."""
        return self.strategy.scope()

    def fitting(self):
        """Where they are used: `tf.distribute` enters its scope where it needs it, and
        in it nobody may compute a gradient by hand."""
        tensorflow = backend.name() == "tensorflow"
        return contextlib.nullcontext() if tensorflow else self.strategy.scope()

    def prepare(self, made):
        """Make an assembled model ready to be shared; a ConfigError says what of the
        config cannot be."""
        made_for = getattr(made.model, "distribute_strategy", None)
        if self.use == "none" and getattr(made_for, "num_replicas_in_sync", 1) > 1:
            self.refuse(
                "the model was made in the scope of a strategy of "
                f"{made_for.num_replicas_in_sync} replicas. Give a function that makes "
                "it, and name the strategy: distribute: mirrored in the config",
                ("model",),
            )
        if self.replicas == 1:
            return
        self._check_data(made.data.train)
        if self.use == "tpu" and made.data.validation is not None:
            self._of_one_size(made.data.validation)  # refuses too few samples
        optimizer = made.model.optimizer
        if self.mirrors:
            self._check_optimizer(optimizer)
            self._check_losses(made.model)
            distribute.own_draws(made.model)
        if self.settings.distribute.scale_learning_rate:
            rate = backend.number(optimizer.learning_rate)
            try:
                optimizer.learning_rate = rate * self.replicas
            except TypeError:
                message = "a schedule cannot be scaled; write the rates that are meant"
                self.refuse(message, ("distribute", "scale_learning_rate"))

    def steps(self, batches):
        """How many training steps an epoch of batches has."""
        if self.replicas == 1 or type(batches) is not Batches:
            return len(batches)
        count, size = len(batches.rows), batches.batch_size
        return -(-(count - self._left(count % size)) // size)

    def _left(self, last):
        """How many samples of a last batch of this size an epoch leaves out."""
        return last if self.use == "tpu" else last % self.replicas

    def _check_data(self, batches):
        if type(batches) is not Batches:
            name = type(batches).__name__
            message = "replicas share batches that are cut out of arrays. Received: "
            message += f"{name}. Give arrays, (x, y), or a source of keras_dlparts.data"
            self.refuse(message, ("data",))
        count, size = len(batches.rows), batches.batch_size
        try:
            shares.cuts(count, size, self.replicas, even=True)
        except ValueError as error:
            self.refuse(own_words(error), ("data",))
        last = count % size
        left = self._left(last)
        if not left:
            return
        message = f"{self.replicas} replicas cannot share an epoch's last batch of "
        message += f"{last} samples"
        if self.settings.distribute.remainder == "error":
            self.refuse(
                f"{message}. Received: remainder='error', {count} samples and "
                f"batch_size={size}. Use another batch_size, or remainder: drop, which "
                f"leaves {left} out of each epoch",
                ("distribute", "remainder"),
            )
        self.say(f"distribute: {message}; each epoch leaves out {left}, as they come")

    def _check_compiling(self):
        """XLA compiles no step that waits for other replicas; a TPU's always is. And
        several of them in a call Keras 3.15 cannot feed."""
        if not self.mirrors:
            return
        steps = self.settings.compile.steps_per_execution
        if steps not in (1, "auto"):
            message = "replicas of tf.distribute take one step a call, since Keras "
            message += f"fails at several. Received: {steps}. Leave it at auto"
            self.refuse(message, ("compile", "steps_per_execution"))
        if self.settings.compile.jit_compile is True:
            message = "replicas of tf.distribute cannot share a step that XLA compiles "
            message += "whole. Received: true. Leave it at auto"
            self.refuse(message, ("compile", "jit_compile"))

    def _check_optimizer(self, optimizer):
        """What Keras does within a condition cannot wait for other replicas."""
        *_, optimizer = wrapped_in(optimizer)
        for name, mend in (
            ("gradient_accumulation_steps", "Raise data.batch_size instead"),
            ("ema_overwrite_frequency", "Use the callback SwapEMAWeights instead"),
        ):
            value = getattr(optimizer, name, None)
            if value and (name[0] == "g" or optimizer.use_ema):
                message = "replicas of tf.distribute cannot train with it. "
                self.refuse(
                    f"{message}Received: {name}={value}. {mend}", ("optimizer", name)
                )

    def _check_losses(self, model):
        """A layer that waits for other replicas gives the losses that layers add to
        the wrong ones, and the weights are wrong without a word."""
        layers = graphs.layers(model)
        waits = [layer for layer in layers if getattr(layer, "synchronized", False)]
        adds = [layer for layer in layers if keras_private.own_losses(layer)]
        if waits and adds:
            self.refuse(
                "replicas of tf.distribute cannot train a layer with synchronized=True "
                "together with one that adds a loss. Received: "
                f"{waits[0].name!r} and {adds[0].name!r}. Leave one of them out",
                ("model",),
            )

    def train(self, batches, waiting=None):
        """The training data as `fit` is to have it.

        A `Waiting` times what only the data itself can tell of; a `Feed` can the rest.
        """
        if self.use == "multi_worker":
            weight = self.settings.fit.class_weight
            fetched = waiting and waiting.fetched
            return shares.share(
                batches, self.strategy, class_weight=weight, fetched=fetched
            )
        if self.use == "tpu":
            return self._of_one_size(batches)
        if self.replicas > 1:
            return shares.Share(batches, self.replicas, range(self.replicas))
        return batches

    def validation(self, batches):
        """The validation data as `fit` is to have it; None stays None."""
        if batches is None:
            return None
        if self.use == "multi_worker":
            return shares.share(batches, self.strategy, even=False)
        if self.use == "tpu":
            return self._of_one_size(batches)
        if self.replicas == 1:
            return batches
        # JAX' DataParallel needs the same number of samples on each device.
        own, even = range(self.replicas), not self.mirrors
        share = shares.Share(batches, self.replicas, own, even)
        if self.mirrors:
            share.cuts = shares.opened_evenly(share.cuts, self.replicas)
        return share

    def _of_one_size(self, batches):
        """Whole batches only: a TPU compiles for shapes that it knows before."""
        try:
            return batches.to_tf_data(drop_remainder=True)
        except ValueError as error:
            self.refuse(own_words(error), ("data",))

    def fit_arguments(self, arguments):
        """The other arguments of `fit`, without those that the data has taken."""
        if self.use == "multi_worker" and backend.name() != "jax":
            return arguments | {"class_weight": None}
        return arguments
