"""What an optimizer has that wraps another, and is that other one in all else."""

import keras

from keras_dlparts import backend
from keras_dlparts.backend import keras_private


def named(identifier):
    """The optimizer of Keras that a name, a config or an object means.

    Keras' own `get` does not know all of its optimizers by their names, Lamb for one.

    >>> named("lamb").__class__.__name__, named("adam").__class__.__name__
    ('Lamb', 'Adam')
    """
    try:
        return keras.optimizers.get(identifier)
    except ValueError:
        for name, each in vars(keras.optimizers).items():
            plain = str(identifier).replace("_", "").lower()
            if isinstance(each, type) and name.lower() == plain:
                return each()
        raise


def check_wraps(kind, optimizer):
    """Refuse to wrap an optimizer whose steps are not made within, or that is one of
    this kind already."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        raise ValueError(
            "A step that the scale of the loss skips must not count. Received: "
            f"optimizer=LossScaleOptimizer. Write LossScaleOptimizer({kind}(...)) "
            "instead."
        )
    steps = type(optimizer).apply is keras.optimizers.Optimizer.apply
    again = any(type(each).__name__ == kind for each in wrapped_in(optimizer))
    if again or not (steps or isinstance(optimizer, Wrapping)):
        raise ValueError(
            f"`{kind}` wraps an optimizer that makes steps of its own, or another "
            f"wrapper. Received: optimizer={type(optimizer).__name__}"
        )


def wrapped_in(optimizer):
    """An optimizer, and those that it wraps, from outside to inside."""
    while optimizer is not None:
        yield optimizer
        # Keras' LossScaleOptimizer calls it `inner_optimizer`.
        inner = getattr(optimizer, "optimizer", None)
        optimizer = getattr(optimizer, "inner_optimizer", inner)


def wrap_of(model, kind, make, inside=False):
    """The wrapper of this class that a compiled model's optimizer has, put in if it
    has none.

    Args:
        model: A compiled model.
        kind: A class of wrappers.
        make: A function of an optimizer that gives the wrapper of it.
        inside: Whether it goes inside of other wrappers, and not around them.
    """
    chain = [*wrapped_in(model.optimizer)]
    for each in chain:
        if isinstance(each, kind):
            return each
    around = [o for o in chain if isinstance(o, keras.optimizers.LossScaleOptimizer)]
    if inside:
        around += [o for o in chain if isinstance(o, Wrapping)]
    optimizer = chain[len(around)]
    made = make(optimizer)
    if optimizer.built:
        with backend.scope_of(model):
            made.build(keras_private.trained_by(optimizer))
    if not around:
        model.optimizer = made
    elif isinstance(around[-1], Wrapping):
        around[-1].optimizer = made
    else:
        around[-1].inner_optimizer = made
    # A saved model compiles itself with the noted optimizer, and the train function
    # was traced without the wrapper: both are replaced.
    outer = next(each for each in (*around, made) if isinstance(each, Wrapping))
    keras_private.set_compiled_optimizer(model, outer)
    model.train_function = None
    return made


def _of_the_wrapped(name):
    """A property that is the wrapped optimizer's attribute of that name."""

    def get(self):
        return getattr(self.optimizer, name)

    def set(self, value):
        # Keras' constructor assigns its defaults before there is a wrapped optimizer.
        if "optimizer" in vars(self):
            setattr(self.optimizer, name, value)

    return property(get, set)


class Wrapping(keras.optimizers.Optimizer):
    """Base of optimizers that wrap one: its variables, its rate, its step are theirs.

    A subclass adds variables of its own to the wrapped optimizer in `build_own`. So
    whatever Keras does with an optimizer's variables (saving, accumulating, skipping a
    step) it does with those.

    Args:
        optimizer: The optimizer.
        name: Optional name.
    """

    def __init__(self, optimizer, name):
        super().__init__(learning_rate=0.0, name=name)
        self.optimizer = optimizer
        # Read here: `build` may be traced, and a value cannot be read there.
        self._steps_before = int(backend.number(optimizer.iterations))

    # What is set on the wrapped optimizer is seen from outside as well: Keras'
    # LossScaleOptimizer and its callback SwapEMAWeights look for it here.
    weight_decay = _of_the_wrapped("weight_decay")
    use_ema = _of_the_wrapped("use_ema")
    ema_momentum = _of_the_wrapped("ema_momentum")
    ema_overwrite_frequency = _of_the_wrapped("ema_overwrite_frequency")
    loss_scale_factor = _of_the_wrapped("loss_scale_factor")
    gradient_accumulation_steps = _of_the_wrapped("gradient_accumulation_steps")

    @property
    def innermost(self):
        """The optimizer that makes the steps, where a wrapped one wraps another."""
        inner = self.optimizer
        return inner.innermost if isinstance(inner, Wrapping) else inner

    @property
    def variables(self):
        return self.optimizer.variables

    def build(self, variables):
        if self.built:
            return
        self.optimizer.build(variables)
        trained = keras_private.trained_by(self.optimizer)
        self.build_own(trained)
        keras_private.train(self, trained)
        keras_private.show_moving_average(self, self.innermost)
        self.built = True

    def build_own(self, variables):
        """Make the variables that this optimizer adds to those of the wrapped one."""
        raise NotImplementedError

    def add_begin(self, name, later=0):
        """A variable of the wrapped optimizer: its count of steps when it was wrapped,
        and `later` more.

        It may have stepped before, so that what begins with the wrapper does not begin
        at step 0. The count is saved with the other variables, and a run that is
        resumed begins nothing anew.
        """
        begin = keras.initializers.Constant(self._steps_before + later)
        return self.innermost.add_variable((), begin, "int32", name=name)

    def apply(self, grads, trainable_variables=None):
        if not self.built:
            if trainable_variables is None:
                raise ValueError(
                    "The optimizer is not built. Call "
                    "`optimizer.build(trainable_variables)` first, or give "
                    "`trainable_variables`."
                )
            self.build([*trainable_variables])
        self.optimizer.apply(grads, trainable_variables)

    @property
    def learning_rate(self):
        return self.optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        self.optimizer.learning_rate = learning_rate

    @property
    def iterations(self):
        return self.optimizer.iterations

    def scale_loss(self, loss):
        return self.optimizer.scale_loss(loss)

    def finalize_variable_values(self, var_list):
        self.optimizer.finalize_variable_values(var_list)

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        self.optimizer.exclude_from_weight_decay(var_list, var_names)

    def save_own_variables(self, store):
        """Nothing: the wrapped optimizer saves all."""

    def load_own_variables(self, store):
        """Nothing: the wrapped optimizer loads all."""

    def get_config(self):
        return {
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        # Not `keras.optimizers.get`, which does not know all of Keras' optimizers.
        parts = {
            name: keras.saving.deserialize_keras_object(value, custom_objects)
            for name, value in config.items()
            if isinstance(value, dict)
        }
        return cls(**{**config, **parts})
