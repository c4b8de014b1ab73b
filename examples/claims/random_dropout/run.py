"""Dense nets with dropout of several rates: the mean, best and worst test error."""

import itertools

import keras
import numpy as np
from keras import layers as kl

from examples.claims.data import images
from keras_dlparts import many_steps
from keras_dlparts.layers import RandomDropout


def run(seed, data, kind, share, nets, rates, input_rates, epochs, train=None):
    """Train a net at each pair of rates; `share` of each is what the layers get."""
    found = images(data, train)
    drop = {"fixed": kl.Dropout, "random": RandomDropout}[kind]
    errors, hidden = [], []
    for units, at_input, rate in itertools.product(nets, input_rates, rates):
        keras.utils.set_random_seed(seed)
        layers = [keras.Input((28, 28)), kl.Flatten()]
        if at_input:
            layers.append(drop(share * at_input))
        for width in units:
            layers += [kl.Dense(width, "relu"), drop(share * rate)]
        model = keras.Sequential([*layers, kl.Dense(10)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss)
        batches = many_steps(model, found.x, found.y, 100, seed=seed)
        model.fit(batches, epochs=epochs, shuffle=False, verbose=0)
        answer = model.predict(found.x_test, batch_size=1000, verbose=0)
        # A net that has diverged answers with one class and errs like chance.
        errors.append(100 * float((answer.argmax(1) != found.y_test).mean()))
        hidden.append(rate)
    return {
        "mean_error": float(np.mean(errors)),
        "best_error": min(errors),
        "worst_error": max(errors),
        "errors": errors,
        "rates": hidden,
    }


def draw(figure, rows):
    """Test error over the rate."""
    axes = figure.subplots()
    for way in dict.fromkeys(row["way"] for row in rows):
        its = [row for row in rows if row["way"] == way]
        rates = sorted(set(its[0]["rates"]))
        by_rate = [
            [
                np.mean(np.array(row["errors"])[np.array(row["rates"]) == rate])
                for row in its
            ]
            for rate in rates
        ]
        (line,) = axes.plot(rates, np.mean(by_rate, axis=1), "-", label=way)
        for rate, errors in zip(rates, by_rate, strict=True):
            axes.plot([rate] * len(errors), errors, "o", ms=4, color=line.get_color())
    axes.set(xlabel="x, the end of the range of rates", ylabel="test error, %")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
