"""Which axes count a layer's outputs: those of its kernel, and those of what it gives.

Dense, convolutions        the last axis of the kernel
transposed convolutions    the last but one
depthwise convolutions     the last two: a filter of its own for each input channel
EinsumDense                the letters of the kernel that are in the result too
"""

from keras import layers as kl

_TRANSPOSED = (kl.Conv1DTranspose, kl.Conv2DTranspose, kl.Conv3DTranspose)
_DEPTHWISE = (kl.DepthwiseConv1D, kl.DepthwiseConv2D)


def output_axes(layer, kernel):
    """The axes of a layer's kernel that count its outputs."""
    last = len(kernel.shape) - 1
    if kernel.name == "kernel":
        if isinstance(layer, kl.EinsumDense):
            operand, result = _operand_and_result(layer)
            return tuple(i for i, letter in enumerate(operand) if letter in result)
        if isinstance(layer, _TRANSPOSED):
            return (last - 1,)
    if isinstance(layer, _DEPTHWISE) or kernel.name == "depthwise_kernel":
        return (last - 1, last)
    return (last,)


def result_axes(layer, rank):
    """The axes of an EinsumDense's result that those of its kernel become.

    They come in the kernel's order, from 0 on. Any other layer has its outputs last.

    Args:
        layer: A layer.
        rank: How many axes its result has, the batch's among them.
    """
    if not isinstance(layer, kl.EinsumDense):
        return (rank - 1,)
    operand, result = _operand_and_result(layer)
    before, _, after = result.partition("...")
    places = {letter: i for i, letter in enumerate(before)}
    places |= {letter: rank - len(after) + i for i, letter in enumerate(after)}
    return tuple(places[letter] for letter in operand if letter in places)


def _operand_and_result(layer):
    """The letters of the kernel and of the result in an EinsumDense's equation."""
    operand, _, result = layer.equation.partition(",")[2].partition("->")
    return operand, result
