"""Images the way all sources give them: float32 in [0, 1], with a channel axis.

y = x / (largest value of x's integer dtype)
"""

import numpy as np


def prepare_images(images, channel_axis=True):
    """Scale integer images to [0, 1] and give grey ones a last axis of 1.

    >>> prepare_images(np.array([[[0, 255]]], "uint8")).tolist()
    [[[[0.0], [1.0]]]]
    """
    images = np.asarray(images)
    if images.dtype.kind == "u":
        highest = np.iinfo(images.dtype).max
        images = np.divide(images, np.float32(highest), dtype="float32")
    if channel_axis and images.ndim == 3:
        images = images[..., None]
    if not channel_axis and images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    return images
