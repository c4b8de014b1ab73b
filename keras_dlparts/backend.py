"""The only file that knows which Keras backend runs.

Parts build on Keras and on what is here: random seeds that differ by replica,
the gradient of a model on a batch, repeatable arithmetic.
"""

import contextlib
import contextvars
import random

import keras
import numpy as np
from keras import ops

# Odd and large: replica seeds stay apart whatever counters they add to.
_REPLICA_STRIDE = 0x9E3779B1


def name():
    """The running backend: "tensorflow", "jax" or "torch"."""
    return keras.backend.backend()


def can_compile():
    """Whether `jit_compile=True` works wherever this backend runs.

    PyTorch's compiler needs a C++ compiler on the machine.
    """
    return name() != "torch"


def _replicas():
    """(this replica's id, how many there are) inside a tf.distribute replica."""
    if name() != "tensorflow":
        return 0, 1
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None:
        return 0, 1
    return context.replica_id_in_sync_group, context.num_replicas_in_sync


@keras.saving.register_keras_serializable("dlparts")
class SeedGenerator(keras.random.SeedGenerator):
    """Seeds for random parts, a different stream on every replica.

    Keras' own generator hands the same seeds to all replicas of a
    `tf.distribute` strategy, so they all drop the same elements. This one adds
    the replica's id to the seed; on one device it equals Keras'.

    Args:
        seed: int or None (drawn at random, repeatable by
            `keras.utils.set_random_seed`).

    Example:

    >>> import keras
    >>> ours, theirs = SeedGenerator(7), keras.random.SeedGenerator(7)
    >>> bool((keras.random.uniform((3,), seed=ours)
    ...       == keras.random.uniform((3,), seed=theirs)).numpy().all())
    True
    """

    def next(self, ordered=True):
        seed = super().next(ordered)
        replica, count = _replicas()
        if count == 1:
            return seed
        offset = ops.cast(replica, seed.dtype) * ops.cast(_REPLICA_STRIDE, seed.dtype)
        return seed + ops.stack([offset, ops.zeros_like(offset)])


def seed_globals(*seeds):
    """Seed the process-wide generators: Python's, numpy's and PyTorch's.

    Parts have seed generators of their own. Callbacks and data sources may draw from
    these, and on PyTorch Keras' own Dropout does.
    """
    words = np.random.SeedSequence(seeds).generate_state(1)
    random.seed(int(words[0]))
    np.random.seed(words)
    if name() == "torch":
        import torch

        torch.manual_seed(int(words[0]))


@contextlib.contextmanager
def unmoved(model):
    """Put back what training passes inside this context move.

    That is the state of layers (moving averages, seed counters), the metrics, and the
    process-wide generators; the trainable weights are nobody's business here.
    """
    if name() == "jax":
        model.jax_state_sync()  # `fit` trains on copies, and takes these up again
    variables = [*model.non_trainable_variables, *model.metrics_variables]
    kept = [v.numpy() for v in variables]
    generators = random.getstate(), np.random.get_state()
    try:
        with _torch_generator_kept():
            yield
    finally:
        random.setstate(generators[0])
        np.random.set_state(generators[1])
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)


@contextlib.contextmanager
def intercepted(layers, wrap):
    """Replace the `call` of layers by `wrap(layer, call)` inside this context."""
    layers = [*layers]
    for layer in layers:
        # Past Keras' attribute tracking: the layer itself is not to change.
        object.__setattr__(layer, "call", wrap(layer, layer.call))
    try:
        yield
    finally:
        for layer in layers:
            object.__delattr__(layer, "call")


def _torch_generator_kept():
    """Keras' Dropout draws from PyTorch's own generator, whatever its seed."""
    if name() != "torch":
        return contextlib.nullcontext()
    import torch

    return torch.random.fork_rng()


def make_deterministic():
    """Make the backend's operations repeat bit by bit, for this process' life."""
    if name() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    elif name() == "torch":
        import torch

        torch.use_deterministic_algorithms(True)


def gradient(model, x, y, sample_weight=None):
    """The training loss of a compiled model on one batch, and its gradient.

    The gradients stand in the order of `model.trainable_variables`. The pass is a
    training pass: seed counters and moving averages step on.
    """
    return gradient_function(model, compiled=False)(x, y, sample_weight)


def training_loss(model, x, y, sample_weight=None):
    """The loss that a compiled model is trained by, of one batch, in training mode."""
    prediction = model(x, training=True)
    return model.compute_loss(x, y, prediction, sample_weight, training=True)


def gradient_function(model, compiled=True, loss_of=training_loss):
    """`gradient` of one model as a function of a batch, compiled for many calls.

    Another `loss_of(model, x, y, sample_weight)`, a scalar, may take the place of the
    training loss.
    """
    trainable, others = model.trainable_variables, model.non_trainable_variables

    if name() == "tensorflow":
        import tensorflow as tf

        def measure(*batch):
            with tf.GradientTape() as tape:
                loss = loss_of(model, *batch)
            return loss, tape.gradient(loss, [v.value for v in trainable])

        if compiled:
            measure = tf.function(measure, jit_compile=model.jit_compile)
    elif name() == "jax":
        import jax

        pure = jax.value_and_grad(_stateless_loss(model, loss_of), has_aux=True)
        pure = jax.jit(pure) if compiled else pure

        def measure(*batch):
            values = [v.value for v in trainable], [v.value for v in others]
            (loss, moved), gradients = pure(*values, *batch)
            _assign(others, moved)
            return loss, gradients
    else:
        import torch

        def measure(*batch):
            loss = loss_of(model, *batch)
            values = [v.value for v in trainable]
            gradients = torch.autograd.grad(loss, values, allow_unused=True)
            return loss.detach(), list(gradients)

    def measured(x, y, sample_weight=None):
        return measure(*_tensors((x, y, sample_weight)))

    return measured


def _stateless_loss(model, loss_of=training_loss):
    """For JAX: a loss as a function of values, and the state that it leaves."""
    trainable, others = model.trainable_variables, model.non_trainable_variables

    def loss_at(values, state, *batch):
        mapping = [*zip(trainable, values, strict=True)]
        mapping += zip(others, state, strict=True)
        with keras.StatelessScope(mapping, collect_losses=True):
            return loss_of(model, *batch), [v.value for v in others]

    return loss_at


def _assign(variables, values):
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _tensors(batch):
    return keras.tree.map_structure(
        lambda a: None if a is None else ops.convert_to_tensor(a), batch
    )


def accelerators():
    """The names of the devices besides the processor."""
    if name() == "tensorflow":
        import tensorflow as tf

        devices = tf.config.list_physical_devices()
        return [d.name for d in devices if d.device_type != "CPU"]
    if name() == "jax":
        import jax

        return [str(d) for d in jax.devices() if d.platform != "cpu"]
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


# Set while PyTorch differentiates twice, see `with_gradient`.
_TWICE = contextvars.ContextVar("twice", default=False)


def with_gradient(forward, backward):
    """A function of tensors whose gradient is written by hand.

        forward(*arguments) -> (outputs, saved)
        backward(saved, upstream) -> one gradient for each argument

    `outputs` and `upstream` are tuples of tensors. TensorFlow and JAX differentiate
    the backward pass again where asked. PyTorch cannot see how `saved` came about: it
    refuses, and `curvature_function` lets it differentiate `forward` instead.
    """
    if name() == "jax":
        import jax

        function = jax.custom_vjp(lambda *arguments: forward(*arguments)[0])
        function.defvjp(forward, backward)
        return function
    if name() == "tensorflow":
        import tensorflow as tf

        @tf.custom_gradient
        def function(*arguments):
            outputs, saved = forward(*arguments)
            return outputs, lambda *upstream: backward(saved, upstream)

        return function

    import torch

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(context, *arguments):
            outputs, context.saved = forward(*arguments)
            return outputs

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(context, *upstream):
            return backward(context.saved, upstream)

    def function(*arguments):
        return forward(*arguments)[0] if _TWICE.get() else Function.apply(*arguments)

    return function


def scan(step, carry, sequences, widths, reverse=False):
    """A loop over the first axis that nothing differentiates through.

        step(carry, slices) -> (carry, values)     slices and values of one time

    Args:
        step: the function; carry, slices and values are tuples of tensors.
        carry: its first carry.
        sequences: tuple of tensors `(time, ...)`.
        widths: the last axis of each value, float32 of the shape `(batch, width)`.
        reverse: go from the last time to the first.

    Returns: the last carry, and the values stacked `(time, batch, width)`.
    """
    if name() == "jax":
        import jax

        return jax.lax.scan(step, carry, sequences, reverse=reverse)
    if name() == "torch":
        times = range(len(sequences[0]))
        stacked = None
        for t in reversed(times) if reverse else times:
            carry, values = step(carry, tuple(s[t] for s in sequences))
            if stacked is None:
                shape = (len(times),)
                stacked = tuple(v.new_empty(shape + v.shape) for v in values)
            for whole, value in zip(stacked, values, strict=True):
                whole[t] = value
        return carry, stacked

    import tensorflow as tf

    length = tf.shape(sequences[0])[0]
    batch = sequences[0].shape[1]
    given = [tf.TensorArray(s.dtype, length).unstack(s) for s in sequences]
    arrays = [
        tf.TensorArray(tf.float32, length, element_shape=(batch, w)) for w in widths
    ]

    def body(i, carry, arrays):
        t = length - 1 - i if reverse else i
        carry, values = step(carry, tuple(array.read(t) for array in given))
        written = [a.write(t, v) for a, v in zip(arrays, values, strict=True)]
        return i + 1, carry, written

    _, carry, arrays = tf.while_loop(
        lambda i, *_: i < length, body, (0, carry, arrays), maximum_iterations=length
    )
    return carry, tuple(array.stack() for array in arrays)


@contextlib.contextmanager
def _smooth_moments():
    """Give TensorFlow's batch statistics their second derivative.

    `tf.nn.moments` stops the gradient at the mean inside the variance. That changes no
    first derivative, but the second one lacks its part through the mean: every Hessian
    of a net with batch normalisation would be wrong.
    """
    import tensorflow as tf

    def moments(x, axes, shift=None, keepdims=False, name=None):
        wide = tf.cast(x, tf.float32) if x.dtype == tf.float16 else x
        centre = tf.reduce_mean(wide, axes, keepdims=True)
        mean = centre if keepdims else tf.squeeze(centre, axes)
        variance = tf.reduce_mean(tf.square(wide - centre), axes, keepdims=keepdims)
        return tf.cast(mean, x.dtype), tf.cast(variance, x.dtype)

    theirs = tf.nn.moments
    tf.nn.moments = moments
    try:
        yield
    finally:
        tf.nn.moments = theirs


def curvature_function(model, compiled=True):
    """Hessian-vector products of a compiled model's training loss.

        (vectors, x, y, sample_weight) -> (loss, gradients, H v)

    Loss, gradient and product belong to one training pass, so to the same batch and
    masks. `vectors` are arrays in the order and shapes of
    `model.trainable_variables`, as are `gradients` and `H v`; all are zero where the
    loss does not depend on a variable. Seed counters and moving averages step on.

    A product costs a few gradients, and no matrix is ever made: the derivative of
    the gradient along v, by a second reverse pass on TensorFlow and PyTorch and by a
    forward pass over the reverse one on JAX. Pearlmutter 1994, "Fast exact
    multiplication by the Hessian". Operations that a backend differentiates once only
    (cuDNN's recurrent loops) raise that backend's error.
    """
    trainable, others = model.trainable_variables, model.non_trainable_variables

    def zeros_for_none(found, values):
        return [
            ops.zeros_like(v) if f is None else ops.convert_to_tensor(f)
            for f, v in zip(found, values, strict=True)
        ]

    if name() == "tensorflow":
        import tensorflow as tf

        def measure(vectors, *batch):
            values = [v.value for v in trainable]
            with tf.GradientTape() as outer:
                with tf.GradientTape() as inner, _smooth_moments():
                    loss = training_loss(model, *batch)
                gradients = zeros_for_none(inner.gradient(loss, values), values)
                slope = tf.add_n(
                    [
                        tf.reduce_sum(g * v)
                        for g, v in zip(gradients, vectors, strict=True)
                    ]
                )
            products = outer.gradient(slope, values)
            return loss, gradients, zeros_for_none(products, values)

        if compiled:
            measure = tf.function(measure, jit_compile=model.jit_compile)
    elif name() == "jax":
        import jax

        gradient_at = jax.value_and_grad(_stateless_loss(model), has_aux=True)

        def pure(values, state, vectors, *batch):
            def at(values):
                (loss, moved), gradients = gradient_at(values, state, *batch)
                return gradients, (loss, moved)

            return jax.jvp(at, (values,), (vectors,), has_aux=True)

        pure = jax.jit(pure) if compiled else pure

        def measure(vectors, *batch):
            values = [v.value for v in trainable], [v.value for v in others]
            gradients, products, (loss, moved) = pure(*values, vectors, *batch)
            _assign(others, moved)
            return loss, gradients, products
    else:
        import torch

        def measure(vectors, *batch):
            values = [v.value for v in trainable]
            token = _TWICE.set(True)
            try:
                loss = training_loss(model, *batch)
            finally:
                _TWICE.reset(token)
            gradients = zeros_for_none(
                torch.autograd.grad(loss, values, create_graph=True, allow_unused=True),
                values,
            )
            slope = sum((g * v).sum() for g, v in zip(gradients, vectors, strict=True))
            products = [None] * len(values)
            if slope.requires_grad:  # not so where the loss is linear
                products = torch.autograd.grad(slope, values, allow_unused=True)
            return (
                loss.detach(),
                [g.detach() for g in gradients],
                zeros_for_none(products, values),
            )

    def measured(vectors, x, y, sample_weight=None):
        vectors = [
            ops.convert_to_tensor(vector, variable.dtype)
            for vector, variable in zip(vectors, trainable, strict=True)
        ]
        return measure(vectors, *_tensors((x, y, sample_weight)))

    return measured
