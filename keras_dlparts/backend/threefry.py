"""JAX' own random numbers, written so that XLA makes one loop of them.

    (x0, x1) <- (0, i) + (k0, k1)                  number i of the key (k0, k1)
    20 rounds:  x0 <- x0 + x1,  x1 <- rotate(x1) xor x0
    after each fourth round j, with k2 = k0 xor k1 xor 0x1BD11BDA:
                x0 <- x0 + k[j mod 3],  x1 <- x1 + k[(j + 1) mod 3] + j
    bits_i = x0 xor x1

On a CPU, JAX compiles the rounds as a loop whose parts are started one by one; for the
few numbers of a small training step that takes longer than all the rest of the step.
Written out, the rounds, and what is made of the numbers, run in one. The numbers are
the same, bit for bit.
Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
"""

import math

import numpy as np

_ROTATIONS = (13, 15, 26, 6), (17, 29, 16, 24)
_PARITY = np.uint32(0x1BD11BDA)
_MANTISSA = 23  # bits of a float32


def gives_jax_numbers(seed, shape):
    """Whether `uniform` and `normal` give what JAX as it is set would give."""
    import jax

    return (
        seed.shape == (2,)
        and seed.dtype == np.uint32
        and jax.config.jax_default_prng_impl == "threefry2x32"
        and jax.config.jax_threefry_partitionable
        and math.prod(shape) < 2**32
    )


def uniform(seed, shape, least=0.0, most=1.0):
    """Draws of a seed in [least, most), float32."""
    import jax

    # A float32 between 1 and 2, which has one exponent.
    bits = _bits(seed, shape) >> np.uint32(32 - _MANTISSA)
    ones = jax.lax.bitcast_convert_type(bits | np.float32(1).view("uint32"), "float32")
    least, most = np.float32(least), np.float32(most)
    drawn = (ones - np.float32(1)) * (most - least) + least
    return jax.numpy.maximum(least, drawn)


def normal(seed, shape):
    """Standard normal draws of a seed, float32."""
    import jax

    above_minus_one = np.nextafter(np.float32(-1), np.float32(0))
    drawn = uniform(seed, shape, above_minus_one, 1.0)
    return np.float32(math.sqrt(2)) * jax.lax.erf_inv(drawn)


def _bits(seed, shape):
    import jax

    k = seed[0], seed[1], seed[0] ^ seed[1] ^ _PARITY
    x1 = jax.lax.iota(np.uint32, math.prod(shape)).reshape(shape) + k[1]
    x0 = jax.numpy.broadcast_to(k[0], shape)
    for j in range(1, 6):
        for by in _ROTATIONS[(j - 1) % 2]:
            x0 = x0 + x1
            turned = (x1 << np.uint32(by)) | (x1 >> np.uint32(32 - by))
            x1 = turned ^ x0
        x0 = x0 + k[j % 3]
        x1 = x1 + k[(j + 1) % 3] + np.uint32(j)
    return x0 ^ x1
