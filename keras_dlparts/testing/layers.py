"""What is asked of layers. The docstring of a check is its rule."""

import json

import keras
import numpy as np
from keras import ops

from keras_dlparts.testing.cases import parameters, require
from keras_dlparts.testing.general import as_json, same
from keras_dlparts.testing.keras_test_case import run_layer_test


def _numpy(outputs):
    """Outputs as a flat list of float64 arrays; integers and booleans too."""
    return [
        np.asarray(ops.convert_to_numpy(ops.cast(y, "float32")), "float64")
        for y in keras.tree.flatten(outputs)
    ]


def _training_calls(layer, x, count=3):
    """A flat array for each of a few calls in training."""
    calls = [_numpy(layer(x, training=True)) for _ in range(count)]
    return [np.concatenate([y.ravel() for y in outputs]) for outputs in calls]


def _equal(ours, theirs):
    return all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def _with_weights(layer, x, weights=None):
    """Build a layer on x, and give it the weights of another."""
    layer(x, training=False)
    if weights is not None:
        layer.set_weights(weights)
    return layer


def revived_behaves_the_same(case):
    """Made from its config and with its weights it does the same, draws included."""
    x = case.inputs()
    layer = case.make()
    config = json.loads(as_json(layer))
    _with_weights(layer, x)
    keras.utils.set_random_seed(0)
    revived = _with_weights(case.target.from_config(config), x, layer.get_weights())
    same(_numpy(layer(x)), _numpy(revived(x)), "The outputs in inference")
    keras.utils.set_random_seed(0)  # on PyTorch some of Keras' draws have no seed
    ours = _training_calls(layer, x)
    keras.utils.set_random_seed(0)
    same(ours, _training_calls(revived, x), "The outputs in training")


def shapes_agree(case):
    """The shapes and dtypes told beforehand are those that come out, with a batch
    that is known or not, in training and inference."""
    for batch, training in ((1, False), (3, False), (3, True)):
        x = case.inputs(batch)
        layer = case.make()
        come = _signature(layer(x, training=training))
        shapes = keras.tree.map_structure(lambda a: tuple(a.shape), x)
        told = _flat_shapes(layer.compute_output_shape(shapes))
        require(
            told == [shape for shape, _ in come],
            f"`compute_output_shape` says {told} for {shapes}. Out come {come}",
        )
        told = _signature(case.make()(_symbols(case, x), training=training))
        require(told == come, f"A symbolic call tells {told}. Out come {come}")
        told = _signature(case.make()(_symbols(case, x, (None,)), training=training))
        agree = len(told) == len(come) and all(
            len(shape) == len(real)
            and all(t in (None, r) for t, r in zip(shape, real, strict=True))
            and dtype == real_dtype
            for (shape, dtype), (real, real_dtype) in zip(told, come, strict=True)
        )
        require(
            agree,
            f"With an unknown batch a symbolic call tells {told}. Out come {come}",
        )


def _flat_shapes(shapes):
    """A structure of shapes as a list of tuples."""
    flat = []
    keras.tree.map_shape_structure(lambda shape: flat.append(tuple(shape)), shapes)
    return flat


def _signature(outputs):
    """Shape and dtype of each output."""
    return [
        (tuple(y.shape), keras.backend.standardize_dtype(y.dtype))
        for y in keras.tree.flatten(outputs)
    ]


def _symbols(case, x, batch=()):
    """Symbolic inputs as x; `batch` takes the place of its first size."""
    return keras.tree.map_structure(
        lambda a: keras.KerasTensor(
            (*batch, *a.shape[len(batch) :]), dtype=a.dtype.name
        ),
        x,
    )


def works_in_mixed_precision(case):
    """Under `mixed_float16` and `mixed_bfloat16` it computes in those, finitely,
    and keeps its variables in float32."""
    x = case.inputs()
    for policy in ("mixed_float16", "mixed_bfloat16"):
        layer = case.make(dtype=policy)
        for training in (False, True):
            for y in keras.tree.flatten(layer(x, training=training)):
                dtype = keras.backend.standardize_dtype(y.dtype)
                require(
                    "float" not in dtype or dtype == policy.removeprefix("mixed_"),
                    f"Under {policy} an output is {dtype}.",
                )
                finite = np.isfinite(ops.convert_to_numpy(ops.cast(y, "float32"))).all()
                require(finite, f"Under {policy} an output is not finite.")
        for variable in layer.weights:
            require(
                variable.dtype == "float32" or "float" not in variable.dtype,
                f"Under {policy} the variable {variable.path} is {variable.dtype}.",
            )


class _GiveMask(keras.layers.Layer):
    """Passes its input on with a mask of our choice."""

    def __init__(self, mask):
        super().__init__()
        self.mask = mask
        self.supports_masking = True

    def call(self, inputs):
        return inputs

    def compute_mask(self, inputs, previous_mask):
        return ops.convert_to_tensor(self.mask)


class _SeeMask(keras.layers.Layer):
    """Keeps the mask that arrives."""

    def __init__(self):
        super().__init__()
        self.supports_masking = True

    def call(self, inputs, mask=None):
        self.seen = mask
        return inputs


def passes_masks(case):
    """If it claims `supports_masking`, a mask comes out as it went in, wherever the
    output has the positions that the mask speaks of."""
    layer = case.make()
    if not layer.supports_masking:
        return
    random = np.random.default_rng(3)

    def masked(array):
        mask = random.random(array.shape[:-1]) < 0.5
        mask.flat[0], mask.flat[-1] = True, False  # both kinds, whatever was drawn
        return _GiveMask(mask)(array), mask

    x = case.inputs()
    if isinstance(x, list):
        # Which mask comes out of several is for the layer to say; it must not fail.
        layer([masked(a)[0] for a in x])
        return
    given, mask = masked(x)
    for y in keras.tree.flatten(layer(given, training=True)):
        see = _SeeMask()
        see(y)
        if tuple(y.shape[: mask.ndim]) == mask.shape:
            require(
                see.seen is not None
                and np.array_equal(ops.convert_to_numpy(see.seen), mask),
                "`supports_masking` is claimed, but the mask did not come out as it "
                f"went in.\nIn: {mask.tolist()}\nOut: {see.seen}",
            )


def seeds_repeat(case):
    """The same seed gives the same draws, and two calls of one layer differ. Where
    it takes a `seed`, that alone decides."""
    x = case.inputs()
    takes_seed = "seed" in parameters(case.target)
    weights = _with_weights(case.make(), x).get_weights()

    def calls(seed, global_seed):
        keras.utils.set_random_seed(global_seed)
        arguments = case.built_arguments()
        if takes_seed:
            arguments = {**arguments, "seed": seed}
        layer = _with_weights(case.target(**arguments), x, weights)
        return _training_calls(layer, x)

    first = calls(1, 1)
    require(_equal(first, calls(1, 1)), "The same seed gave other outputs.")
    if takes_seed:
        require(
            _equal(first, calls(1, 2)),
            "The same `seed=` gave other outputs after another "
            "`keras.utils.set_random_seed`: `seed` must decide alone.",
        )
    if not _equal(first, calls(2, 2)):  # it draws, so it must draw anew each time
        again = any(
            np.array_equal(a, b) for i, a in enumerate(first) for b in first[:i]
        )
        require(not again, "Two calls in training drew the same numbers.")


def infers_deterministically(case):
    """In inference, which is the default, it repeats itself and keeps its weights."""
    x = case.inputs()
    layer = _with_weights(case.make(), x)
    before = layer.get_weights()
    first = _numpy(layer(x, training=False))
    require(
        _equal(first, _numpy(layer(x, training=False))),
        "Two calls in inference gave different outputs.",
    )
    require(
        _equal(first, _numpy(layer(x))),
        "A call without `training` differs from one with `training=False`.",
    )
    require(_equal(before, layer.get_weights()), "A call in inference moved weights.")


def passes_the_layer_test_of_keras(case):
    """Keras' own `run_layer_test` passes."""
    many = isinstance(case.input_shape, list)
    if many or "float" in case.input_dtype:
        inputs = {
            "input_shape": case.input_shape,
            "input_dtype": case.dtypes() if many else case.input_dtype,
        }
    else:  # Keras would draw integers from 0 to 2
        inputs = {"input_data": ops.convert_to_tensor(case.inputs())}
    run_layer_test(
        case.target,
        init_kwargs=case.built_arguments(),
        **inputs,
        # Its training step takes one input. One case will do: `fits` trains them all.
        run_training_check=not many and case.number == 0,
        supports_masking=case.make().supports_masking,
    )
