"""What the layer-normalised recurrent layers share.

    LN(a) = (a - mean(a)) / sqrt(var(a) + epsilon)      over the last axis

The mean of a product h U over its columns is h times the mean column of U, so LN
of a product needs no mean once the matrix is centred:

    LN(h U) = a / sqrt(mean(a^2) + epsilon),   a = h (U - mean_columns(U))

and the gradient with respect to a needs no mean either, for the rows of the centred
matrix sum to zero. Zoneout (Krueger et al. 2017, arXiv:1606.01305) keeps each unit's
old state with probability `zoneout`, drawn anew at each time step:

    training   s = m s_old + (1 - m) s_new,   m ~ Bernoulli(zoneout)
    inference  s = zoneout s_old + (1 - zoneout) s_new

Ba, Kiros & Hinton 2016, "Layer normalization", arXiv:1607.06450.
"""

import functools
import inspect

import keras
from keras import ops

from keras_dlparts import backend
from keras_dlparts.support.checks import check_rate

# What the contract suite builds of each kind.
layer_cases = (
    {"arguments": {"units": 3}, "input_shape": (2, 4, 5)},
    {
        "arguments": {
            "units": 3,
            "zoneout": 0.5,
            "dropout": 0.3,
            "recurrent_dropout": 0.2,
            "return_sequences": True,
        },
        "input_shape": (2, 4, 5),
        "still": {"zoneout": 0.0, "dropout": 0.0, "recurrent_dropout": 0.0},
    },
)
cell_case = (
    {
        "arguments": {"units": 3},
        "skip": "a cell is called with its states; keras.layers.RNN is tested with it",
    },
)


def normalise(a, epsilon, *widths):
    """LN without gain and bias, its statistics in float32; `widths` has the number of
    columns of each group."""
    norm = backend.row_norm(epsilon, *widths, centred=False)
    return ops.cast(norm.differentiable(ops.cast(a, "float32")), a.dtype)


def zone_out(new, old, noise, zoneout, training):
    """Keep some units' old state. `noise` is 1 where a unit keeps it."""
    if not zoneout:
        return new
    if not training:
        return zoneout * old + (1 - zoneout) * new
    return noise * old + (1 - noise) * new


def as_float32(weight):
    """A weight's own value, whatever the policy computes in."""
    return ops.cast(ops.convert_to_tensor(weight), "float32")


def product(a, matrix):
    """a @ matrix in the matrix's dtype, given back in float32."""
    if ops.dtype(matrix) == "float32":
        return a @ matrix
    return ops.cast(ops.cast(a, matrix.dtype) @ matrix, "float32")


def outer(a, b, dtype):
    """The gradient of a matrix between a and b, (time, batch, width) each."""
    a, b = (ops.reshape(ops.cast(v, dtype), (-1, v.shape[-1])) for v in (a, b))
    return ops.cast(ops.transpose(a) @ b, "float32")


def _rows(steps):
    """How many samples there are over all times, or None."""
    time, batch = steps.shape[:2]
    known = isinstance(time, int) and isinstance(batch, int)
    return time * batch if known else None


def run_loop(unit, x, states, weights, training, sequences):
    """The states after x (time, batch, features), and h of all times if `sequences`.

    In training the gradient is written by hand: a loop back over the steps for what
    depends on the step after, and one matrix product a matrix over all of them.
    What one step needs stays in the processor's cache, so the input's product is
    made inside the loop too; made before it, it was slower. PyTorch alone makes it,
    and what follows from it alone, ahead in predictions.

    Args:
        unit: The arithmetic of one step between the products:

                ahead(q, *vectors) -> (from_x, kept of it)
                forward(from_x, p, states, *vectors) -> (states, kept of p)
                backward(d_states, before, kept, *vectors)
                    -> (d_states without p's share, d_vectors, (dq, dp))

            for q = W_x x and p = W_h h and the states `before` the step; `from_x` is
            a sequence of tensors, and what both keep stands in `kept` in this order.
            q and p are centred if `unit.norm.centred`, as in training.
            `unit.kept` is the structure of `kept` with the widths as leaves, and
            `unit.gradients` the widths of dq and dp; one alone serves both.
        states: tuple, h first.
        weights: (W_x, W_h, *vectors) in float32.
        training: Whether a gradient may be taken.
        sequences: Whether h of all times is wanted.

    Returns: a tuple: h of all times (time, batch, H) if it is wanted, and the states.
    """
    dtype, count, outputs = x.dtype, len(states), int(sequences)
    pack = functools.partial(keras.tree.pack_sequence_as, unit.kept)

    def centred(*weights):
        kernels, vectors = weights[:2], weights[2:]
        if unit.norm.centred:
            kernels = map(unit.norm.centre, kernels)
        return *(ops.cast(kernel, dtype) for kernel in kernels), *vectors

    def forward(x, *arguments):
        states, weights = arguments[:count], centred(*arguments[count:])
        kernel, recurrent_kernel, *vectors = weights

        def step(before, slices):
            q, p = product(*slices, kernel), product(before[0], recurrent_kernel)
            from_x, of_x = unit.ahead(q, *vectors)
            states, kept = unit.forward(from_x, p, before, *vectors)
            kept = keras.tree.flatten((of_x, kept))
            return states, (*states[:outputs], *before, *kept)

        widths = [s.shape[-1] for s in (*states[:outputs], *states)]
        widths += keras.tree.flatten(unit.kept)
        last, values = backend.scan(step, states, (x,), widths)
        saved = x, values[outputs:], weights
        return (*map(backend.stacked, values[:outputs]), *last), saved

    def backward(saved, upstream):
        x, values, (kernel, recurrent_kernel, *vectors) = saved
        across = ops.transpose(recurrent_kernel)

        def step(carry, slices):
            (dh, *d_others), sums = carry
            d_states = (sum(slices[:outputs], dh), *d_others)
            states, kept = slices[outputs : outputs + count], slices[outputs + count :]
            (dh, *d_others), terms, ends = unit.backward(
                d_states, states, pack(kept), *vectors
            )
            dh = dh + product(ends[-1], across)
            sums = tuple(s + d for s, d in zip(sums, terms, strict=True))
            return ((dh, *d_others), sums), ends

        sums = tuple(ops.zeros_like(vector) for vector in vectors)
        carry = tuple(upstream[outputs:]), sums
        given = (*upstream[:outputs], *values)
        (d_states, sums), ends = backend.scan(
            step, carry, given, unit.gradients, reverse=True
        )
        ends = [*map(backend.stacked, ends)]
        dq, dp = ends[0], ends[-1]

        def dx():
            return ops.matmul(ops.cast(dq, dtype), ops.transpose(kernel))

        h = backend.stacked(values[0])
        kernels = [outer(a, d, dtype) for a, d in ((x, dq), (h, dp))]
        return dx, *d_states, *map(unit.norm.centre, kernels), *sums

    if training:
        return backend.with_gradient(forward, backward)(x, *states, *weights)
    kernel, recurrent_kernel, *vectors = centred(*weights)

    def ahead(slices):
        from_x, _ = unit.ahead(product(slices[0], kernel), *vectors)
        return tuple(from_x)

    def step(states, from_x):
        p = product(states[0], recurrent_kernel)
        states, _ = unit.forward(from_x, p, states, *vectors)
        return states, states[:outputs]

    widths = [s.shape[-1] for s in states[:outputs]]
    # Four times a round is quicker where nothing is kept, and slower in training.
    last, values = backend.scan(step, states, (x,), widths, unroll=4, ahead=ahead)
    return (*map(backend.stacked, values), *last)


class NormalisedCell:
    """Settings and noise of the cells; stands before Keras' cell of the kind.

    A cell on its own (in `keras.layers.RNN`, or stacked) draws its zoneout once a
    sequence, as Keras' cells draw dropout: JAX allows no draws inside the loop. The
    layers draw for each step beforehand and hand the noise over beside the input.
    """

    def _configure(self, zoneout, epsilon):
        check_rate("zoneout", zoneout)
        if not epsilon > 0:
            raise ValueError(f"`epsilon` must be > 0. Received: epsilon={epsilon}")
        self.zoneout = zoneout
        self.epsilon = epsilon
        # The gates are normalised together, so one dropout mask serves them all.
        self.implementation = 2
        self.dropout_mask_count = None
        self.seed_generator = backend.SeedGenerator(self.seed)
        self._noise = None

    def add_gain(self, name, width):
        return self.add_weight(shape=(width,), name=name, initializer="ones")

    def draw_noise(self, *shape):
        """1 with probability `zoneout`, else 0, for each unit of each state."""
        states = 1 if isinstance(self.state_size, int) else len(self.state_size)
        shape = (*shape, states * self.units)
        u = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
        return ops.cast(u < self.zoneout, self.compute_dtype)

    def get_recurrent_dropout_mask(self, step_input):
        # Keras calls this once before the loop.
        if self.zoneout and self._noise is None:
            self._noise = self.draw_noise(ops.shape(step_input)[0])
        return super().get_recurrent_dropout_mask(step_input)

    def reset_recurrent_dropout_mask(self):
        self._noise = None
        super().reset_recurrent_dropout_mask()

    def split_noise(self, inputs, training):
        """A step's input, and the noise that stands beside it or was drawn before.

        A cell that is called by itself in training draws it for each call.
        """
        width = self.kernel.shape[0]
        if inputs.shape[-1] == width:
            noise = self._noise
            if training and self.zoneout and noise is None:
                noise = self.draw_noise(ops.shape(inputs)[0])
            return inputs, noise
        return inputs[:, :width], inputs[:, width:]

    def drop(self, inputs, h, training):
        """Input and state with this sequence's dropout masks on."""
        if training and self.dropout:
            inputs = inputs * self.get_dropout_mask(inputs)
        if training and self.recurrent_dropout:
            h = h * self.get_recurrent_dropout_mask(h)
        return inputs, h

    def get_config(self):
        config = super().get_config()
        return {**config, "zoneout": self.zoneout, "epsilon": self.epsilon}


class NormalisedRNN:
    """What the layers add to Keras' layer of the kind, before which this stands.

    Each kind gives `keras_class` and `keras_cell_class`, Keras' layer and cell;
    `unit_class` and `loop_weights()`, what `run_loop` takes for the common settings;
    and `looped_cell_class`, the cell whose `call` that loop does. A subclass may set
    `cell_class` to a subclass of that cell.
    """

    keras_class = keras_cell_class = unit_class = None
    looped_cell_class = cell_class = None

    def _begin(self, args, kwargs, **ours):
        """Initialise as Keras' layer does, but around our cell."""
        if not issubclass(self.cell_class, self.looped_cell_class):
            raise TypeError(
                "`cell_class` must be a subclass of "
                f"{self.looped_cell_class.__name__}. Received: {self.cell_class!r}; a "
                "cell of another kind goes into keras.layers.RNN"
            )
        kind = self.keras_class
        given = inspect.signature(kind.__init__).bind(self, *args, **kwargs)
        given.apply_defaults()
        arguments = dict(given.arguments)
        del arguments["self"]
        common = arguments.pop("kwargs")
        common.pop("implementation", None)  # here there is one
        if arguments.pop("use_cudnn", None) is True:
            raise ValueError(
                "cuDNN has no layer-normalised cells. Received: use_cudnn=True; "
                "leave it at 'auto'"
            )
        of_cell = inspect.signature(self.keras_cell_class.__init__).parameters
        cell = self.cell_class(
            **{name: arguments.pop(name) for name in of_cell if name in arguments},
            **ours,
            dtype=common.get("dtype"),
            trainable=common.get("trainable", True),
        )
        # Past `kind.__init__`, which would make Keras' cell.
        keras.layers.RNN.__init__(self, cell, **arguments, **common)
        self.input_spec = keras.layers.InputSpec(ndim=3)
        self.use_cudnn = False  # Keras' Bidirectional asks

    @property
    def zoneout(self):
        return self.cell.zoneout

    @property
    def epsilon(self):
        return self.cell.epsilon

    def is_fused(self, mask, training):
        """Whether the hand-written loop serves: no masks, no noise in the loop, and no
        cell with a `call` of its own."""
        cell = self.cell
        gates = getattr(cell, "recurrent_activation", keras.activations.sigmoid)
        return (
            mask is None
            and type(cell).call is self.looped_cell_class.call
            and not self.unroll
            and not cell.zoneout
            and not (training and cell.recurrent_dropout)
            and cell.activation is keras.activations.tanh
            and gates is keras.activations.sigmoid
            and getattr(cell, "reset_after", True)
        )

    def inner_loop(self, sequences, initial_state, mask, training=False):
        cell = self.cell
        mask = keras.tree.flatten(mask)[0] if mask is not None else None
        if not self.is_fused(mask, training):
            if training and cell.zoneout:
                noise = cell.draw_noise(*ops.shape(sequences)[:2])
                sequences = ops.concatenate([sequences, noise], axis=-1)
            return keras.layers.RNN.inner_loop(
                self, sequences, initial_state, mask, training
            )
        if training and cell.dropout:
            sequences = sequences * cell.get_dropout_mask(sequences[:, 0])[:, None]
        steps = ops.transpose(sequences, (1, 0, 2))
        steps = ops.flip(steps, axis=0) if self.go_backwards else steps
        states = [as_float32(state) for state in keras.tree.flatten(initial_state)]
        weights = [as_float32(weight) for weight in self.loop_weights()]
        # Products of a low precision lose less if they are centred to begin with.
        centred = training or ops.dtype(steps) != "float32"
        matrix_rows = cell.units + steps.shape[-1]
        centred = centred or backend.centres_matrices(_rows(steps), matrix_rows)
        unit = self.unit_class(cell.units, cell.epsilon, training, centred)
        found = run_loop(
            unit, steps, tuple(states), weights, training, self.return_sequences
        )
        *h, last = found[: self.return_sequences + 1]
        outputs = ops.transpose(h[0], (1, 0, 2)) if h else last[:, None]
        return last, outputs, [*found[len(h) :]]

    def get_config(self):
        config = super().get_config()
        return {**config, "zoneout": self.zoneout, "epsilon": self.epsilon}

    @classmethod
    def from_keras(
        cls, layer: keras.layers.Layer, zoneout: float = 0.0, epsilon: float = 1e-5
    ):
        """This layer with the settings and the weights of Keras' layer of the kind.

        The gains start at one, so outputs differ by the normalisation alone.
        """
        kind = cls.keras_class
        if not isinstance(layer, kind):
            raise TypeError(
                f"`layer` must be a keras.layers.{kind.__name__}. "
                f"Received: {type(layer).__name__}"
            )
        config = layer.get_config() | {"zoneout": zoneout, "epsilon": epsilon}
        ours = cls.from_config(config)
        if layer.built:
            ours.build((None, None, layer.cell.kernel.shape[0]))
            for name in ("kernel", "recurrent_kernel", "bias"):
                theirs = getattr(layer.cell, name)
                if theirs is not None:  # a copy: JAX may give buffers away
                    getattr(ours.cell, name).assign(theirs.numpy())
        return ours
