"""The numbers written out are those that JAX draws."""

import numpy as np
import pytest

from keras_dlparts import backend
from keras_dlparts.backend import threefry

pytestmark = pytest.mark.skipif(
    backend.name() != "jax", reason="JAX' random numbers, which only its backend uses"
)


def test_the_numbers_are_those_of_jax_bit_for_bit():
    import jax

    for seed in ((0, 0), (2**32 - 1, 77)):
        key = jax.numpy.array(seed, "uint32")
        for shape in ((), (2, 5, 7)):
            assert threefry.gives_jax_numbers(key, shape)
            for ours, theirs in (
                (threefry.uniform, jax.random.uniform),
                (threefry.normal, jax.random.normal),
            ):
                for wrapped in (ours, jax.jit(ours, static_argnums=1)):
                    np.testing.assert_array_equal(
                        wrapped(key, shape), theirs(key, shape)
                    )
                drawn = backend.draw(ours.__name__, shape, key)
                np.testing.assert_array_equal(drawn, theirs(key, shape))


def test_where_jax_is_set_to_draw_otherwise_its_own_numbers_are_taken():
    import jax

    key = jax.numpy.array([1, 2], "uint32")
    for setting, value in (
        ("jax_default_prng_impl", "rbg"),
        ("jax_threefry_partitionable", False),
    ):
        before = getattr(jax.config, setting)
        jax.config.update(setting, value)
        try:
            assert not threefry.gives_jax_numbers(key, (3,))
        finally:
            jax.config.update(setting, before)
