"""The modern Hopfield network: an associative memory of real vectors.

    xi <- sum_i p_i x_i,  p = softmax(beta (x_1 xi, ..., x_N xi))
    y = sum_i p_i v_i
    E(xi) = -log(sum_i exp(beta x_i xi)) / beta + xi xi / 2 + log(N) / beta + M^2 / 2

The last update gives y, of the values v where these are given and of x where not. M is
the longest of the x_i. E never rises, and one update is attention with the keys
x_i. A state near x_i comes close to it in one update if x_i is well separated: if
x_i x_i less the largest x_i x_j is large against log(N) / beta.
Shapes: xi (batch, states, d), x (batch, N, d), v (batch, N, values) -> (batch, states,
values). Training and inference are the same but for dropout.
Ramsauer et al. 2020, "Hopfield networks is all you need", arXiv:2008.02217.
"""

import functools
import math

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend
from keras_dlparts.support.checks import (
    check_count,
    check_flag,
    check_number,
    check_rate,
)

_MOST_STEPS = 100  # of an iteration that goes on until it settles
_SETTLED = 1e-5  # the largest change of an element that ends it
CASES = {
    "ModernHopfield": (
        {
            "arguments": {"steps": 2, "dropout": 0.3},
            "input_shape": [(2, 3, 4), (2, 5, 4)],
            "still": {"dropout": 0.0},
        },
        {
            "arguments": {"queries": 2, "steps": 3, "learn_beta": True},
            "input_shape": (2, 5, 4),
        },
        {
            "arguments": {"patterns": 6, "key_dim": 3, "value_dim": 5},
            "input_shape": (2, 3, 4),
        },
    )
}


def similarities(xi, x, beta):
    """beta x_i xi of each state and pattern, shape (batch, states, N), in beta's dtype.

    In half precision the products themselves could overflow.
    """
    xi, x = (ops.cast(a, beta.dtype) for a in (xi, x))
    return beta * ops.matmul(xi, ops.swapaxes(x, -1, -2))


def softmax(scores, present):
    """softmax over the patterns that are there; zeros where none is."""
    p = ops.softmax(ops.where(present, scores, -1e9), axis=-1)
    return ops.where(present, p, 0.0)


def update(xi, x, beta, present):
    """The states after one update."""
    p = softmax(similarities(xi, x, beta), present)
    return ops.matmul(ops.cast(p, x.dtype), x)


def settle(xi, x, beta, present):
    """The states after updates until they rest. No gradient passes through it."""
    xi, x, beta = map(ops.stop_gradient, (xi, x, beta))

    def moves(k, xi, change):
        return ops.logical_and(k < _MOST_STEPS, change > _SETTLED)

    def step(k, xi, change):
        after = update(xi, x, beta, present)
        return k + 1, after, ops.cast(ops.max(ops.abs(after - xi)), "float32")

    if backend.recorded():
        return ops.fori_loop(
            0, _MOST_STEPS, lambda k, xi: update(xi, x, beta, present), xi
        )
    state = ops.zeros((), "int32"), xi, ops.cast(np.inf, "float32")
    return ops.while_loop(moves, step, state)[1]


def energy(xi, x, beta, present):
    """E of each state, shape (batch, states), in beta's dtype."""
    xi, x = (ops.cast(a, beta.dtype) for a in (xi, x))
    scores = ops.where(present, similarities(xi, x, beta), -np.inf)
    there = ops.any(present, axis=-2)  # (batch, N), or (1, N)
    squares = ops.where(there, ops.sum(ops.square(x), axis=-1), 0.0)
    count = ops.sum(ops.cast(there, beta.dtype), -1, keepdims=True)
    constant = ops.log(count) / beta + ops.max(squares, -1, keepdims=True) / 2
    states = ops.sum(ops.square(xi), axis=-1) / 2
    return states + constant - ops.logsumexp(scores, axis=-1) / beta


def separation(x):
    """x_i x_i less the largest x_i x_j with another j, for each i; shape (..., N)."""
    x = backend.at_least_float32(x)
    products = ops.matmul(x, ops.swapaxes(x, -1, -2))
    own = ops.sum(ops.square(x), axis=-1)
    others = ops.where(ops.cast(ops.eye(x.shape[-2]), "bool"), -np.inf, products)
    return own - ops.max(others, axis=-1)


@keras.saving.register_keras_serializable("dlparts")
class ModernHopfield(keras.layers.Layer):
    """Associative memory of real vectors, whose update is attention.

    What it is called on decides the form, as with `keras.layers.Attention`:

    - retrieval: `layer([query, value])` moves each query to the stored value that it
      is like; `layer([query, value, key])` moves it among the keys and reads the
      values.
    - pooling: with `queries=2`, `layer(value)` sums up a set of vectors by two states
      that are learnt.
    - lookup: with `patterns=50`, `layer(query)` moves each query among fifty stored
      vectors that are learnt.

    Nothing is projected unless `key_dim` or `value_dim` says so. One update, the
    default, is attention. `steps=None` is for retrieval: its gradient is that of the
    last update alone, where the states have come to rest, and there is none with
    respect to the queries.

    Args:
        beta: Float greater than 0; the larger, the closer the result is to a single
            pattern. None for 1 / sqrt(d), as in the attention of transformers;
            `keras.layers.Attention` has no such factor, as with `beta=1.0`.
        steps: Integer, `>= 1`, how many updates; None for as many as it takes until
            nothing moves, up to 100.
        queries: Integer, `>= 1`. So many states are learnt: pooling.
        patterns: Integer, `>= 1`. So many stored patterns are learnt: lookup.
        key_dim: Integer. Queries and keys are projected to so many features; None for
            no projection.
        value_dim: Integer. Values are projected to so many features; None for no
            projection.
        learn_beta: Whether beta is trained, from `beta` on.
        dropout: Float, `0 <= dropout < 1`. How many of the weights of the last update
            are dropped in training.
        kernel_initializer: Of projections and of what is learnt in their place.
        seed: Optional integer, for draws of dropout that repeat.

    Call arguments:
        inputs: `[query, value]` or `[query, value, key]` of the shapes `(batch, states,
            d)`, `(batch, N, values)` and `(batch, N, d)`; or the value, or `[value,
            key]`, where `queries` is given; or the query, where `patterns` is given.
            One vector a sample, `(batch, d)`, is first made one state by
            `keras.layers.Reshape((1, d))`.
        mask: Booleans `(batch, states)` and `(batch, N)`, in a list as the inputs. A
            pattern that is masked is never retrieved, a query that is masked gives
            zeros.
        return_attention_scores: Whether to give the weights of the last update too.
        training: Boolean. Whether to drop out.

    Output shape: `(batch, states, values)`.

    Example:

    >>> import numpy as np
    >>> stored = np.random.default_rng(0).normal(size=(1, 20, 64)).astype("float32")
    >>> damaged = np.where(np.arange(64) < 32, stored, 0.0)  # half of each is lost
    >>> y = ModernHopfield(beta=1.0)([damaged, stored])
    >>> bool(np.allclose(y, stored, atol=1e-3))
    True

    Reference: Ramsauer et al. 2020, https://arxiv.org/abs/2008.02217
    """

    def __init__(
        self,
        beta: float | None = None,
        steps: int | None = 1,
        queries: int | None = None,
        patterns: int | None = None,
        key_dim: int | None = None,
        value_dim: int | None = None,
        learn_beta: bool = False,
        dropout: float = 0.0,
        kernel_initializer: str | keras.initializers.Initializer = "glorot_uniform",
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if beta is not None:
            check_number("beta", beta, above=0)
        counts = {"steps": steps, "queries": queries, "patterns": patterns}
        for name, count in {
            **counts,
            "key_dim": key_dim,
            "value_dim": value_dim,
        }.items():
            if count is not None:
                check_count(name, count)
        if queries is not None and patterns is not None:
            raise ValueError(
                "Either the states are learnt or the stored patterns are. "
                f"Received: queries={queries}, patterns={patterns}"
            )
        if steps is None and (queries is not None or key_dim is not None):
            raise ValueError(
                "What states begin with is learnt through a fixed number of updates: "
                "where they come to rest depends on it by no gradient. "
                f"Received: steps=None, queries={queries}, key_dim={key_dim}"
            )
        check_flag("learn_beta", learn_beta)
        check_rate("dropout", dropout)
        self.beta = beta
        self.steps = steps
        self.queries = queries
        self.patterns = patterns
        self.key_dim = key_dim
        self.value_dim = value_dim
        self.learn_beta = learn_beta
        self.dropout = dropout
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.seed = seed
        self.supports_masking = True
        self.seed_generator = backend.SeedGenerator(seed) if dropout else None

    def build(self, input_shape):
        query, value, key = self._named(_shapes(input_shape))
        width = (key or value or query)[-1]
        add = functools.partial(self.add_weight, initializer=self.kernel_initializer)
        if self.queries is not None:
            states = (self.queries, self.key_dim or width)
            self.states = add(name="states", shape=states)
        elif self.key_dim is not None:
            self.query_kernel = add(
                name="query_kernel", shape=(query[-1], self.key_dim)
            )
        elif query[-1] != width:
            raise ValueError(
                "Queries and keys must have the same number of features, or be "
                f"projected: give `key_dim`. Received: {query[-1]} and {width}"
            )
        if self.patterns is not None:
            self.stored = add(name="stored", shape=(self.patterns, width))
        if self.key_dim is not None:
            self.key_kernel = add(name="key_kernel", shape=(width, self.key_dim))
        if self.value_dim is not None:
            self.value_kernel = add(
                name="value_kernel", shape=((value or query)[-1], self.value_dim)
            )
        if self.learn_beta:
            start = self.beta or 1 / math.sqrt(self.key_dim or width)
            self.log_beta = self.add_weight(
                (),
                keras.initializers.Constant(math.log(start)),
                dtype="float32",
                autocast=False,
                name="log_beta",
            )

    def call(self, inputs, mask=None, return_attention_scores=False, training=False):
        xi, x, v, beta, present, query_mask = self._arranged(inputs, mask)
        if self.steps is None:
            xi = settle(xi, x, beta, present)
        else:
            for _ in range(self.steps - 1):
                xi = update(xi, x, beta, present)
        p = softmax(similarities(xi, x, beta), present)
        p = ops.cast(p, self.compute_dtype)
        dropped = p
        if training and self.dropout:
            dropped = keras.random.dropout(p, self.dropout, seed=self.seed_generator)
        y = ops.matmul(dropped, v)
        if query_mask is not None:
            y *= ops.cast(ops.expand_dims(query_mask, -1), y.dtype)
        return (y, p) if return_attention_scores else y

    def energy(self, inputs, mask=None):
        """E of each state before the first update, shape `(batch, states)`.

        Args:
            inputs, mask: As for the call.
        """
        xi, x, _, beta, present, _ = self._arranged(self._outside(inputs), mask)
        return energy(xi, x, beta, present)

    def separation(self, inputs):
        """How far each stored pattern is from being confused, shape `(batch, N)`.

        It is x_i x_i less the largest x_i x_j. Retrieval of x_i is exact but for an
        error of about N exp(-beta separation).

        Args:
            inputs: As for the call.
        """
        return separation(self._arranged(self._outside(inputs), None)[1])

    def _outside(self, inputs):
        """Inputs as tensors, for use outside `call`."""
        tensors = keras.tree.map_structure(
            lambda a: ops.cast(a, self.compute_dtype), inputs
        )
        if not self.built:
            self.build(keras.tree.map_structure(lambda a: tuple(a.shape), tensors))
        return tensors

    def _arranged(self, inputs, mask):
        """States, keys, values, beta, which patterns there are, the query's mask."""
        given = _listed(inputs, inputs)
        _shapes([tuple(a.shape) for a in given])  # a later call may have another rank
        query, value, key = self._named(given)
        query_mask, value_mask, _ = self._named(_listed(mask, inputs))
        if self.patterns is not None:
            value = ops.expand_dims(ops.convert_to_tensor(self.stored), 0)
        x = value if key is None else key
        if self.queries is not None:
            shape = (ops.shape(x)[0], *self.states.shape)
            xi = ops.broadcast_to(ops.convert_to_tensor(self.states), shape)
        else:
            xi = query
        if self.key_dim is not None:
            x = ops.matmul(x, self.key_kernel)
            if self.queries is None:
                xi = ops.matmul(xi, self.query_kernel)
        v = value
        if self.value_dim is not None:
            v = ops.matmul(v, self.value_kernel)
        dtype = backend.wide_dtype(self.compute_dtype)
        if self.learn_beta:
            beta = ops.cast(ops.exp(self.log_beta), dtype)
        else:
            beta = self.beta or 1 / math.sqrt(x.shape[-1])
            beta = ops.convert_to_tensor(beta, dtype)
        if value_mask is None:
            present = ops.ones((1, 1, ops.shape(x)[-2]), "bool")
        else:
            present = ops.expand_dims(ops.cast(value_mask, "bool"), -2)
        xi, x, v = (ops.cast(a, self.compute_dtype) for a in (xi, x, v))
        return xi, x, v, beta, present, query_mask

    def _named(self, given):
        """(query, value, key) of inputs, their shapes or masks; None for what is not
        given."""
        if self.patterns is not None:
            names, least = ("query",), 1
        elif self.queries is not None:
            names, least = ("value", "key"), 1
        else:
            names, least = ("query", "value", "key"), 2
        if not least <= len(given) <= len(names):
            raise ValueError(
                f"ModernHopfield with queries={self.queries} and patterns="
                f"{self.patterns} takes {least} to {len(names)} inputs, "
                f"{', '.join(names)}. Received: {len(given)}"
            )
        named = dict(zip(names, given, strict=False))
        return tuple(map(named.get, ("query", "value", "key")))

    def compute_output_shape(self, input_shape):
        query, value, _ = self._named(_shapes(input_shape))
        batch, *_ = query or value  # one value may be stored for a batch of queries
        states = self.queries or query[1]
        return (batch, states, self.value_dim or (value or query)[-1])

    def compute_output_spec(
        self, inputs, mask=None, return_attention_scores=False, training=False
    ):
        shapes = [tuple(each.shape) for each in _listed(inputs, inputs)]
        batch, states, width = self.compute_output_shape(shapes)
        y = keras.KerasTensor((batch, states, width), self.compute_dtype)
        if not return_attention_scores:
            return y
        _, value, key = self._named(shapes)
        count = self.patterns or (key or value)[1]
        return y, keras.KerasTensor((batch, states, count), self.compute_dtype)

    def compute_mask(self, inputs, previous_mask):
        return self._named(_listed(previous_mask, inputs))[0]

    def get_config(self):
        return {
            **super().get_config(),
            "beta": self.beta,
            "steps": self.steps,
            "queries": self.queries,
            "patterns": self.patterns,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "learn_beta": self.learn_beta,
            "dropout": self.dropout,
            "kernel_initializer": keras.saving.serialize_keras_object(
                self.kernel_initializer
            ),
            "seed": self.seed,
        }


def _listed(given, inputs):
    """Inputs or their masks as a list, one for each input."""
    if isinstance(inputs, list | tuple):
        return [None] * len(inputs) if given is None else [*given]
    return [given]


def _shapes(shape):
    """One shape or several, as a list of shapes, each of rank 3."""
    one = not shape or not isinstance(shape[0], list | tuple)
    shapes = [tuple(each) for each in ([shape] if one else shape)]
    for each in shapes:
        if len(each) != 3:
            raise ValueError(
                "ModernHopfield takes inputs of rank 3, (batch, states, d) or (batch, "
                f"N, d). Received: an input of rank {len(each)}, of shape {each}. Put "
                "a keras.layers.Reshape((1, d)) in front where each sample is a vector"
            )
    return shapes
