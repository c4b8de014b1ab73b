"""Phased: groups of variables that have an optimizer each, and steps of their own.

    t     the number of the step, from 0;   K = sum of k_g over the groups g
    g(t)  the group whose turn it is: of K steps the first k_1 are the first group's,
          the next k_2 the second group's, and so on, over and over
    x_g(t) <- the step of that group's optimizer with its gradient; all else rests

Without `steps` all groups step at once, each by its own optimizer. A group at rest
keeps its weights, its optimizer's slots and its optimizer's count of steps as they are:
with a gradient of zero Adam would move on.
Shapes: as the variables.
Goodfellow et al. 2014, "Generative adversarial nets", algorithm 1: k steps of the
discriminator, then one of the generator.
"""

import math
import numbers

import keras
from keras import ops

from keras_dlparts import backend
from keras_dlparts.backend import keras_private
from keras_dlparts.optimizers.clipping_rule import global_norm
from keras_dlparts.optimizers.wrapping import named
from keras_dlparts.support.checks import check_count

CASES = {
    "Phased": (
        {
            "arguments": lambda folder: {
                "groups": {
                    "kernel": keras.optimizers.Adam(0.01),
                    "bias": keras.optimizers.SGD(0.1, 0.9),
                },
                "steps": {"kernel": 2, "bias": 1},
            }
        },
    )
}


@keras.saving.register_keras_serializable("dlparts")
class Phased(keras.optimizers.Optimizer):
    """An optimizer for each group of variables, all at once or by turns.

    A variable belongs to the group whose name is a part of its path, as `kernel` is of
    `dense/kernel`; the variables of `models.GAN` to `generator` and `discriminator`
    whatever their paths are.

    Every step of `fit` computes the gradients of all groups on a new batch. By turns
    only one group steps with its own, so that K steps of training make one round.

    `learning_rate` is that of the first group. To set it multiplies those of the other
    groups by the same factor. Keras' callbacks `LearningRateScheduler` and
    `ReduceLROnPlateau` go over `optimizers`, and so change each group's by itself.
    `logs()`, whose figures are in the history of a `dlparts train`, gives the learning
    rate of each group and the norm of its last gradient.

    The optimizers given are taken over, and are named after their groups.

    Args:
        groups: Dict of the name of each group and its optimizer, in the order of their
            turns.
        steps: Dict of the name of each group and how many steps are its turn, such as
            `{"discriminator": 5, "generator": 1}`; their order is that of the turns. A
            group that is left out never steps. None: all groups step at once.
        name: Optional name.

    Example:

    >>> import numpy as np
    >>> optimizer = Phased(
    ...     {"kernel": keras.optimizers.Adam(1e-3), "bias": keras.optimizers.SGD(0.1)},
    ...     steps={"kernel": 2, "bias": 1},
    ... )
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    >>> model.compile(optimizer, "mse")
    >>> _ = model.fit(np.ones((6, 3)), np.ones((6, 1)), batch_size=1, verbose=0)
    >>> [int(each.iterations) for each in optimizer.optimizers]
    [4, 2]
    """

    def __init__(
        self,
        groups: dict[str, str | keras.optimizers.Optimizer],
        steps: dict[str, int] | None = None,
        name: str | None = None,
    ):
        if not isinstance(groups, dict) or not groups:
            raise TypeError(
                "`groups` must be a dict of the name of each group and its optimizer. "
                f"Received: groups={groups!r}"
            )
        made = {group: named(optimizer) for group, optimizer in groups.items()}
        for group, optimizer in made.items():
            _check_wrapped(group, optimizer)
        if len({id(each) for each in made.values()}) < len(made):
            raise ValueError(
                "Each group of `groups` must have an optimizer of its own, which "
                "counts the group's steps. Received: one optimizer for two groups. "
                "Make two"
            )
        if steps is not None:
            _check_steps(steps, made)
        super().__init__(learning_rate=0.0, name=name)
        for group, optimizer in made.items():
            optimizer.name = group
        self.groups = made
        self.steps = None if steps is None else dict(steps)

    @property
    def optimizers(self):
        """The groups' optimizers, a list in the order of `groups`."""
        return [*self.groups.values()]

    @property
    def variables(self):
        return [self.iterations, *(v for o in self.optimizers for v in o.variables)]

    def build(self, variables):
        if self.built:
            return
        grouped = self.grouped(variables)
        self._group_of = {id(v): group for group, own in grouped.items() for v in own}
        self._norms = {}
        for group, optimizer in self.groups.items():
            optimizer.build(grouped[group])
            if not hasattr(optimizer, "by"):  # Clipped has a norm of its own
                self._norms[group] = norm = optimizer.add_variable(
                    (), "zeros", "float32", name="gradient_norm"
                )
                backend.before_step(optimizer, _noting(norm))
        keras_private.train(self, [*variables])
        self.built = True

    def grouped(self, variables):
        """{group: those of the variables that belong to it}, or a ValueError."""
        found = {group: [] for group in self.groups}
        for variable in variables:
            found[self._group(variable)].append(variable)
        for group, own in found.items():
            if not own:
                raise ValueError(
                    "Each group must have variables. Received: none that belongs to "
                    f"{group!r} among {_few(variables)}. A variable belongs to the "
                    "group whose name is a part of its path"
                )
        return found

    def _group(self, variable):
        noted = getattr(variable, "dlparts_group", None)
        names = {noted} if noted else set(variable.path.split("/"))
        found = [group for group in self.groups if group in names]
        if len(found) != 1:
            raise ValueError(
                "Each variable must belong to one group, whose name is a part of its "
                f"path. Received: {variable.path!r}"
                + (f" of the model's part {noted!r}" if noted else "")
                + f", which belongs to {found or 'none'} of the groups "
                f"{', '.join(map(repr, self.groups))}"
            )
        return found[0]

    def apply(self, grads, trainable_variables=None):
        if trainable_variables is None:
            if not self.built:
                raise ValueError(
                    "The optimizer is not built. Call "
                    "`optimizer.build(trainable_variables)` first, or give "
                    "`trainable_variables`."
                )
            trainable_variables = keras_private.trained_by(self)
        trainable_variables = [*trainable_variables]
        self.build(trainable_variables)
        pairs = {group: ([], []) for group in self.groups}
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            gradients, variables = pairs[self._group_of[id(variable)]]
            gradients.append(gradient)
            variables.append(variable)
        turns = self._turns()
        for group, (gradients, variables) in pairs.items():
            if variables and group in turns:
                self._step(group, turns[group], gradients, variables)
        self.iterations.assign_add(1)

    def _turns(self):
        """{group: whether it is its turn}, None for always."""
        if self.steps is None:
            return dict.fromkeys(self.groups)
        total, start, turns = sum(self.steps.values()), 0, {}
        place = ops.mod(ops.convert_to_tensor(self.iterations), total)
        for group, count in self.steps.items():
            end = start + count
            if count:
                turns[group] = ops.logical_and(place >= start, place < end)
            start = end
        return turns

    def _step(self, group, turn, gradients, variables):
        optimizer = self.groups[group]

        def update(gradients):
            optimizer.apply(gradients, variables)

        if turn is None:
            update(gradients)
        else:
            own = [*variables, *optimizer.variables]
            backend.update_if(turn, update, gradients, own)

    @property
    def learning_rate(self):
        return self.optimizers[0].learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        first, *others = self.optimizers
        old = backend.number(first.learning_rate)
        if not isinstance(learning_rate, numbers.Real) or not old > 0:
            raise ValueError(
                "The learning rate of a `Phased` is that of its first group, and to "
                "set it multiplies all by the same factor, so it must be a number, and "
                f"one that was not 0. Received: {learning_rate!r}, after {old}. Set "
                "those of `optimizer.optimizers`"
            )
        first.learning_rate = learning_rate
        for each in others:
            each.learning_rate = (
                backend.number(each.learning_rate) * learning_rate / old
            )

    @property
    def loss_scale_factor(self):
        return None

    @loss_scale_factor.setter
    def loss_scale_factor(self, value):
        # Keras' LossScaleOptimizer sets None here, and scales by itself.
        if value is not None:
            raise ValueError(
                "`Phased` scales no loss. Received: loss_scale_factor="
                f"{value}. Wrap it, as LossScaleOptimizer(Phased(...))"
            )

    def finalize_variable_values(self, var_list):
        for group, optimizer in self.groups.items():
            own = [v for v in var_list if self._group_of[id(v)] == group]
            optimizer.finalize_variable_values(own)

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        for optimizer in self.optimizers:
            optimizer.exclude_from_weight_decay(var_list, var_names)

    def logs(self) -> dict[str, float]:
        """Each group's learning rate, and the norm of its last gradient."""
        found = {}
        for group, optimizer in self.groups.items():
            rate = backend.number(optimizer.learning_rate)
            found[f"learning_rate_{group}"] = rate
            if self.built and group in self._norms:
                norm = backend.number(self._norms[group])
                found[f"gradient_norm_{group}"] = norm
            tell = getattr(optimizer, "logs", dict)
            found |= {f"{key}_{group}": value for key, value in tell().items()}
        return found

    def get_config(self):
        return {
            "groups": {
                group: keras.saving.serialize_keras_object(optimizer)
                for group, optimizer in self.groups.items()
            },
            "steps": self.steps,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        # Not `keras.optimizers.get`, which does not know all of Keras' optimizers.
        groups = {
            group: keras.saving.deserialize_keras_object(each, custom_objects)
            for group, each in config["groups"].items()
        }
        return cls(**{**config, "groups": groups})


def _noting(norm):
    """A function for `backend.before_step` that notes the norm of the gradient."""

    def note(gradients, variables):
        norm.assign(global_norm(gradients))
        return gradients

    return note


def _few(variables):
    paths = [v.path for v in variables]
    return ", ".join(paths[:6]) + (", ..." if len(paths) > 6 else "")


def _check_wrapped(group, optimizer):
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        raise ValueError(
            "One scale is for the gradients of all groups. Received: a "
            f"LossScaleOptimizer for {group!r}. Write LossScaleOptimizer(Phased(...))"
        )
    if optimizer.loss_scale_factor is not None:
        raise ValueError(
            "`Phased` scales no loss. Received: loss_scale_factor="
            f"{optimizer.loss_scale_factor} for {group!r}. Leave it out, and write "
            "LossScaleOptimizer(Phased(...))"
        )
    if hasattr(optimizer, "optimizers"):
        raise ValueError(
            "A group's optimizer must be one that makes steps, not one of several. "
            f"Received: {type(optimizer).__name__} for {group!r}"
        )


def _check_steps(steps, groups):
    if not isinstance(steps, dict):
        raise TypeError(
            "`steps` must be a dict of the name of each group and its number of steps, "
            f"or None. Received: steps={steps!r}"
        )
    for group, count in steps.items():
        if group not in groups:
            raise ValueError(
                f"`steps` must name groups: {', '.join(map(repr, groups))}. "
                f"Received: {group!r}"
            )
        check_count(f"steps[{group!r}]", count, 0)
    if not math.fsum(steps.values()):
        raise ValueError(
            f"`steps` must let one group step at least. Received: steps={steps!r}"
        )
