"""The pictures of weights that were shut down: by epoch, and in the kernel."""

import contextlib

import numpy as np
from keras import ops


def figures_of(layer, run):
    """{title: Figure or table} of a layer that learns its sparsity, for a report."""
    found = {}
    with contextlib.suppress(ImportError):  # without matplotlib the table is all
        columns = [name for name in run.history if name.endswith("_left")]
        columns = [name for name in columns if not name.startswith("val_")]
        layers = [name for name in columns if name != "weights_left"]
        # One picture shows all layers, so only the first layer adds it.
        if layers and layers[0] == layer.weights_left.name:
            found["Weights left by epoch"] = by_epoch(run.history, columns)
        found[f"Kernel of {layer.name}"] = kernels(layer)
    left, size = layer.counts()
    found[f"Weights of {layer.name}"] = [
        {"weights": size, "left": left, "share": f"{left / size:.2%}"}
    ]
    return found


def by_epoch(history, columns):
    """A Figure with a line a layer, and one for all of them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for name in columns:
        whole = name == "weights_left"
        style = {"color": "black", "linewidth": 2.5} if whole else {}
        label = "all" if whole else name.removesuffix("_left")
        axes.plot(history["epoch"], history[name], label=label, **style)
    axes.set(xlabel="epoch", ylabel="weights left", yscale="log")
    axes.set_ylim(top=1.1)
    axes.legend(frameon=False)
    return figure


def kernels(layer):
    """A Figure of the kernel as the optimizer wrote it, and of what is left."""
    from matplotlib.figure import Figure

    written = ops.convert_to_numpy(layer.layer.weights[0]).astype("float64")
    left = ops.convert_to_numpy(layer.posterior_kernel()).astype("float64")
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    titles = "as the optimizer wrote it", "what is left"
    pictures = zip(figure.subplots(1, 2), (written, left), titles, strict=True)
    for axes, kernel, title in pictures:
        matrix = kernel.reshape(-1, kernel.shape[-1])
        top = max(np.quantile(np.abs(matrix), 0.99), np.finfo("float32").tiny)
        # The sign of a weight shows against white, which is what zero is.
        image = axes.imshow(
            matrix, aspect="auto", cmap="RdBu", vmin=-top, vmax=top, rasterized=True
        )
        image.set_interpolation("nearest")
        axes.set(title=title, xlabel="outputs", ylabel="inputs")
        figure.colorbar(image, ax=axes)
    return figure
