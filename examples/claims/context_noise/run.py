"""Read a sequence, keep one vector of it, write it backwards; noise on the vector.

The model is `models.EncoderDecoder` with the cell and the readout of Cho et al. 2014,
"Learning phrase representations using RNN encoder-decoder for statistical machine
translation", arXiv:1406.1078: the states are reset before the product
(`reset_after=False`), and maxout stands before the symbols. Here the cells have layer
normalization.
"""

import functools

import keras
import numpy as np

from keras_dlparts.layers import FeatureSpaceAugmentation, LayerNormGRU
from keras_dlparts.models import EncoderDecoder

# Sequences of up to 8 of 10 symbols; 0 pads, 1 begins and ends an answer.
LENGTH, SYMBOLS, END = 8, 10, 1
TESTED = 1000


def run(seed, data, strength, epochs, more, train, units):
    """What is written without a mistake; strength None stands for the first phase."""
    weights, found = first_phase(seed, epochs, train, units)
    if strength is None:
        return found
    keras.utils.set_random_seed(seed)  # the same whether the first phase ran just now
    model = second_phase(weights, units, strength, seed)
    return taught(model, more, train)


@functools.lru_cache(maxsize=1)  # all ways of a seed go on from the same weights
def first_phase(seed, epochs, train, units):
    """(trained weights, figures) of an encoder and a decoder that learn together."""
    keras.utils.set_random_seed(seed)
    model = translator(units)
    found = taught(model, epochs, train)
    return weights_of(model), found


def second_phase(weights, units, strength, seed):
    """A model with these weights, its encoder frozen."""
    model = translator(units, strength, seed)
    for variable, value in zip(model.trainable_variables, weights, strict=True):
        variable.assign(value)
    model.freeze_encoder()
    return compiled(model)


def taught(model, epochs, train):
    """The shares of sequences that the model writes without a mistake, once taught."""
    x, held_out = np.split(drawn(train + TESTED, 0), [train])
    y = answers(x)
    model.fit((x, y), y, batch_size=64, epochs=epochs, verbose=0)
    shares = {}
    for name, given in (("exact_match", held_out), ("on_training_data", x[:TESTED])):
        right = (model.generate(given, batch_size=500) == answers(given)).all(axis=1)
        shares[name] = float(right.mean())
    return shares


def drawn(count, seed):
    """Different sequences `(count, LENGTH)`, 4 to 8 symbols each, padded right."""
    random = np.random.default_rng(seed)
    x = random.integers(2, SYMBOLS + 2, (2 * count, LENGTH))
    lengths = random.integers(LENGTH // 2, LENGTH + 1, 2 * count)
    x[np.arange(LENGTH) >= lengths[:, None]] = 0
    return random.permutation(np.unique(x, axis=0))[:count]


def answers(x):
    """The symbols backwards, then END, padded to `(count, LENGTH + 1)`."""
    written = np.zeros((len(x), LENGTH + 1), x.dtype)
    for row, sequence in zip(written, x, strict=True):
        symbols = sequence[sequence > 0][::-1]
        row[: len(symbols) + 1] = [*symbols, END]
    return written


def translator(units, strength=0.0, seed=None):
    """A model that is built, and compiled for the first phase."""
    augmentation = None
    if strength:
        augmentation = FeatureSpaceAugmentation("noise", strength=strength, seed=seed)
    model = EncoderDecoder(
        LayerNormGRU(units, reset_after=False),
        LayerNormGRU(units, reset_after=False),
        vocabulary=SYMBOLS + 2,
        embedding=16,
        readout="maxout",
        end=END,
        augmentation=augmentation,
    )
    model.build([(None, LENGTH), (None, LENGTH + 1)])
    return compiled(model)


def compiled(model):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # XLA would take longer to compile each of these short trainings than they take.
    model.compile(keras.optimizers.Adam(2e-3, clipnorm=1.0), loss, jit_compile=False)
    return model


def weights_of(model):
    return [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]


def draw(figure, rows):
    """Exact matches by the strength of the noise, and those of the first phase."""
    figure.set_size_inches(6, 3.4)
    axes = figure.add_subplot()
    for name, label, colour in (
        ("exact_match", "new sequences", "#0072b2"),
        ("on_training_data", "learnt ones", "#d55e00"),
    ):
        found = {}
        for row in rows:
            found.setdefault(row["settings"]["strength"], []).append(row[name])
        axes.axhline(np.mean(found.pop(None)), color=colour, linestyle=":")
        for strength, each in found.items():
            axes.plot([strength] * len(each), each, "o", color=colour)
        means = [np.mean(each) for each in found.values()]
        axes.plot(found.keys(), means, color=colour, label=label)
    axes.set(xlabel="strength of the noise on the context", ylim=(-0.02, 1.02))
    axes.set_ylabel("written without a mistake")
    axes.legend(frameon=False, title="dotted: before the second phase")
