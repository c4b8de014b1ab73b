"""The only file that knows which Keras backend runs.

Parts build on Keras and on what is here: random seeds that differ by replica,
the gradient of a model on a batch, repeatable arithmetic.
"""

import contextlib
import contextvars
import functools
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


def before_step(optimizer, transform, rate=None):
    """Put a function between an optimizer's gradients and its step.

        transform(gradients, variables) -> gradients
        rate(learning_rate) -> learning_rate

    The gradients are those that the step uses: unscaled, accumulated, and summed
    over the replicas of a `tf.distribute` strategy, which Keras does last, after its
    own clipping. They are dense.
    """

    step = optimizer._backend_update_step
    replaced = {}
    if name() == "tensorflow":
        import tensorflow as tf

        reduce = optimizer._all_reduce_sum_gradients

        def reduced(pairs):
            gradients, variables = zip(*reduce(pairs), strict=True)
            # Of an embedding come rows, some twice: norms are of their sum.
            gradients = [tf.convert_to_tensor(g) for g in gradients]
            return [*zip(transform(gradients, variables), variables, strict=True)]

        replaced["_all_reduce_sum_gradients"] = reduced
        if rate is not None:
            replaced["_backend_update_step"] = lambda g, v, r: step(g, v, rate(r))
    else:
        replaced["_backend_update_step"] = lambda g, v, r: step(
            transform(g, v), v, r if rate is None else rate(r)
        )
    for method, function in replaced.items():
        # Past Keras' attribute tracking, which would wrap it.
        object.__setattr__(optimizer, method, function)


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

    A product costs about two gradients, and no matrix is ever made: the derivative of
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


def replicas():
    """How many replicas of a `tf.distribute` strategy run this step; else one."""
    return _replicas()[1]


def running_variable(
    shape, name, initializer="zeros", aggregation="mean", dtype="float32"
):
    """A variable for what a layer notes in training passes, right over replicas too.

    In a step each replica reads and writes its own, without waiting for the others.
    What the host reads, and saves, is their `aggregation`: `"mean"`, or that of the
    `"only_first_replica"`. Elsewhere it is an ordinary variable that is not trained.
    Its dtype is kept, whatever the dtype policy.
    """
    return keras.Variable(
        initializer,
        shape=shape,
        dtype=dtype,
        trainable=False,
        autocast=False,
        aggregation=aggregation,
        synchronization="on_read",
        name=name,
    )


def replica():
    """(this replica's id, how many there are); (0, 1) outside a strategy."""
    return _replicas()


class _GivenSeed(keras.random.SeedGenerator):
    """Hands Keras' random functions a seed that is already drawn."""

    def __init__(self, seed):
        self.seed = seed

    def next(self, ordered=True):
        return self.seed


def draw(kind, shape, seed, step=0):
    """Draws of a seed that `SeedGenerator.next` gave, other ones for each `step`.

    So a loop may draw that cannot step a generator on. `kind` is `"uniform"` (in
    [0, 1)) or `"normal"`; `step` is an integer or a tensor.
    """
    offset = ops.cast(step, seed.dtype) * ops.cast(1_000_003, seed.dtype)
    seed = _GivenSeed(seed + ops.stack([offset, ops.zeros_like(offset)]))
    function = keras.random.uniform if kind == "uniform" else keras.random.normal
    return function(shape, dtype="float32", seed=seed)


def compiled(function, static=()):
    """A function of tensors, compiled where the backend does so; it is inference.

    Args:
        function: pure; it takes its tensors, seeds and weights as arguments.
        static: names of arguments that are no tensors. They are given by name.
    """
    if name() == "jax":
        import jax

        return jax.jit(function, static_argnames=static)
    if name() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, reduce_retracing=True)

    import torch

    return torch.no_grad()(function)


def known(tensor):
    """A tensor's value as a numpy array, or None while a function is being traced."""
    if name() == "jax":
        import jax

        traced = isinstance(tensor, keras.KerasTensor | jax.core.Tracer)
        return None if traced else np.asarray(tensor)
    if name() == "tensorflow":
        import tensorflow as tf

        symbolic = not tf.is_tensor(tensor) or not hasattr(tensor, "numpy")
        return None if symbolic else tensor.numpy()
    on_meta = isinstance(tensor, keras.KerasTensor) or tensor.is_meta
    return None if on_meta else ops.convert_to_numpy(tensor)


def require(condition, message, values):
    """Raise ValueError unless a boolean tensor is true; the error tells the values.

    In a step that is compiled TensorFlow raises its own error with the message; XLA
    can raise none, so there, and on JAX, nothing is raised.
    """
    value = known(condition)
    if value is None:
        if name() == "tensorflow" and ops.is_tensor(condition):
            import tensorflow as tf

            tf.debugging.Assert(condition, [message])
    elif not value:
        values = known(ops.cast(values, "float32"))
        raise ValueError(
            f"{message}. Received: {values.min():.6g} to {values.max():.6g}"
        )


def cond(condition, yes, no):
    """`yes()` or `no()`; only one of them runs, and nothing is compiled for it."""
    value = known(condition)
    if value is None:
        return ops.cond(condition, yes, no)
    return yes() if value else no()


class RunningSums(keras.random.SeedGenerator):
    """Sums that a layer adds to in each call and that are none of its weights.

    They are neither saved nor counted, and add up over replicas. JAX' step carries
    state that is a weight or a seed generator's and drops all else, so this is a seed
    generator by birth; it draws nothing.

    Args:
        size: Integer. How many sums.
    """

    def __init__(self, size):
        self.name = "running_sums"
        self.state = keras.Variable(
            np.zeros(size, "float32"),
            dtype="float32",
            trainable=False,
            autocast=False,
            aggregation="sum",
            synchronization="on_read",
            name="running_sums",
        )

    def add(self, values):
        self.state.assign(self.state + values)

    def read(self, otherwise):
        """The sums; `otherwise`, a metric's variable, within a step of JAX' `fit`,
        which has taken all state but the metrics' away."""
        if name() == "jax" and known(otherwise.value) is None:
            return otherwise.value
        return self.state.value

    def reset(self):
        self.state.assign(ops.zeros(self.state.shape))


def can_run_chunks(model):
    """Whether `run_chunks` can train this compiled model here."""
    if name() == "torch" or model.run_eagerly:
        return False
    if type(model).train_step is not keras.Model.train_step:
        return False
    if name() == "jax":
        return bool(model.jit_compile) and keras.distribution.distribution() is None
    return model.distribute_strategy.num_replicas_in_sync == 1


def run_chunks(model, batch_size):
    """Let `fit` train on many batches a call, in one compiled loop.

    Keras' `steps_per_execution` goes through Python for each batch, on JAX for each
    step too. Here `fit` gets the batches joined to chunks, and a call cuts a chunk up
    again and takes a step on each batch; a smaller last batch has its own step. Holds
    until the model is compiled again.
    """

    def parts(data, whole):
        """The whole batches of a chunk, and what is left of it."""
        cut = whole * batch_size
        return (
            keras.tree.map_structure(lambda a: a[:cut], data),
            keras.tree.map_structure(lambda a: a[cut:], data),
        )

    def next_chunk(iterator):
        unpacked = keras.utils.unpack_x_y_sample_weight(next(iterator))
        return keras.utils.pack_x_y_sample_weight(*unpacked)

    if name() == "jax":
        import jax

        def rows(data):
            return len(keras.tree.flatten(data)[0])

        @functools.partial(jax.jit, donate_argnums=0)
        def run(state, data):
            whole = rows(data) // batch_size
            batches, rest = parts(data, whole)

            def step(state, batch):
                logs, moved = model.train_step(state, batch)
                # A scan's state must not change its types, weak ones included.
                cast = jax.tree.map(lambda a, b: b.astype(a.dtype), state, moved)
                return cast, logs

            if whole:
                batches = jax.tree.map(
                    lambda a: a.reshape(whole, batch_size, *a.shape[1:]), batches
                )
                state, logs = jax.lax.scan(step, state, batches)
                logs = jax.tree.map(lambda a: a[-1], logs)
            if rows(rest):
                state, logs = step(state, rest)
            return logs, state

        model.train_function = lambda state, iterator: run(state, next_chunk(iterator))
        return

    import tensorflow as tf

    step = tf.function(
        model.train_step, jit_compile=model.jit_compile, reduce_retracing=True
    )

    @tf.function(reduce_retracing=True)
    def run(data):
        count = tf.shape(keras.tree.flatten(data)[0])[0]
        whole = count // batch_size

        def body(i):
            step(
                keras.tree.map_structure(
                    lambda a: tf.ensure_shape(
                        a[i * batch_size : (i + 1) * batch_size],
                        (batch_size, *a.shape[1:]),
                    ),
                    data,
                )
            )
            return i + 1

        def leave():
            step(parts(data, whole)[1])
            return whole + 1

        tf.while_loop(lambda i: i < whole, body, [0])
        tf.cond(count > whole * batch_size, leave, lambda: whole)
        return model.get_metrics_result()

    def train_function(iterator):
        data = next_chunk(iterator)
        return run(keras.tree.map_structure(tf.convert_to_tensor, data))

    model.optimizer.build(model.trainable_variables)  # not within the loop
    model.train_function = train_function


def full_precision():
    """A context in which variables are read in their own dtype, not the policy's."""
    from keras.src.backend import AutocastScope  # Keras exports none

    return AutocastScope(None)


def on_host():
    """Whether variables hold their values here, and not within a JAX trace."""
    from keras.src.backend import in_stateless_scope

    return not in_stateless_scope()
