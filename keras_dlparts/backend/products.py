"""Matrix products of float32 that keep all of its digits on accelerators too.

Many accelerators multiply matrices of float32 in TF32: they round each factor to 11
binary digits of its 24. A difference of such products loses what it is about. JAX can
be told not to round; elsewhere each factor is split into two parts that survive the
rounding,

    a = a_1 + a_2,  a_1 = t - (t - a),  t = (2^13 + 1) a       a_1 has 11 digits
    a b = a_1 b_1 + (a_1 b_2 + a_2 b_1)                        but for 2^-24 |a| |b|

Dekker 1971, "A floating-point technique for extending the available precision".
"""

from typing import Any

from keras import ops

from keras_dlparts.backend.basics import accelerators, name

_SPLITS = 2.0**13 + 1


def accurate_matmul(a: Any, b: Any) -> Any:
    """`ops.matmul(a, b)` of two float32 tensors, without rounding them to TF32.

    The gradient's own products are rounded as the accelerator does it.
    """
    if name() == "jax":
        import jax

        with jax.default_matmul_precision("highest"):
            return ops.matmul(a, b)
    return _in_parts(a, b) if accelerators() else ops.matmul(a, b)


def _in_parts(a, b):
    a_1, b_1 = _leading(a), _leading(b)
    a_2, b_2 = a - a_1, b - b_1
    return ops.matmul(a_1, b_1) + (ops.matmul(a_1, b_2) + ops.matmul(a_2, b_1))


def _leading(a):
    """The leading 11 binary digits."""
    t = _SPLITS * a
    return t - (t - a)
