"""The training of `config.yaml`, with the cell that a way names."""

from pathlib import Path

from examples.claims.claim import trained

COLOURS = {"LayerNormLSTM": "#0072b2", "LSTM": "#d55e00"}


def run(seed, data, **sets):
    return trained(Path(__file__).with_name("config.yaml"), seed, data, **sets)


def draw(figure, rows):
    """The validation loss by epoch, a line a seed."""
    figure.set_size_inches(6.5, 3.2)
    axes = figure.add_subplot()
    for row in rows:
        losses = row["by_epoch"]["val_loss"]
        label = row["way"] if row["seed"] == rows[0]["seed"] else None
        epochs = range(1, len(losses) + 1)
        axes.plot(epochs, losses, color=COLOURS[row["way"]], label=label)
    axes.axhline(1 / 6, color="black", linestyle=":", label="the guess 1")
    axes.set(xlabel="epoch", ylabel="mean squared error, validation", yscale="log")
    axes.set_xticks(epochs)
    figure.legend(loc="outside right", frameon=False)
