"""EncoderDecoder: its formula, masks, the loops that write, and what is refused."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers as kl

from keras_dlparts import train
from keras_dlparts.layers import FeatureSpaceAugmentation, LayerNormGRU
from keras_dlparts.models import EncoderDecoder
from keras_dlparts.models.sequences.encoder_decoder_figures import principal

SYMBOLS, LENGTH = 5, 4
random = np.random.default_rng(0)
SOURCE = np.array([[2, 3, 4, 2], [4, 2, 0, 0], [3, 0, 0, 0]])
TARGET = np.array([[2, 4, 3, 1], [2, 4, 1, 0], [3, 1, 0, 0]])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def array(tensor):
    return keras.ops.convert_to_numpy(keras.ops.stop_gradient(tensor))


def moved(model):
    """The same weights on every backend."""
    numbers = np.random.default_rng(1)
    model.set_weights([numbers.normal(0, 0.7, w.shape) for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def simple():
    """A decoder that a few lines of numpy can follow."""
    arguments = {"vocabulary": SYMBOLS, "embedding": 3}
    model = EncoderDecoder(kl.SimpleRNN(4), kl.SimpleRNN(4), **arguments)
    model.build([(None, LENGTH), (None, LENGTH)])
    return moved(model)


def softmax(o):
    p = np.exp(o - o.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def first_state(model, c):
    W, b = model.starts[0].get_weights()
    return np.tanh(c @ W + b)


def one_step(model, c, previous, s):
    """(o_t, s_t) from the formula."""
    e = model.read_back.get_weights()[0][previous]
    W, U, b = model.decoder.get_weights()
    s = np.tanh(np.concatenate([e, c], -1) @ W + s @ U + b)
    V, a = model.to_output.get_weights()
    W_o, U_o, C_o = np.split(V, [4, 7])
    return s @ W_o + e @ U_o + c @ C_o + a, s


def log_p(model, c, sequence):
    """log p of a sequence after a context, a step after another."""
    s, total, previous = first_state(model, c), 0.0, model.end
    for symbol in sequence:
        o, s = one_step(model, c, previous, s)
        total += np.log(softmax(o)[symbol])
        previous = symbol
    return total


def test_the_formula_and_the_loss_of_the_given_targets(simple):
    c = simple.encode(SOURCE)
    s, previous, outputs = first_state(simple, c), np.full(3, simple.end), []
    for t in range(LENGTH):
        o, s = one_step(simple, c, previous, s)
        outputs.append(o)
        previous = TARGET[:, t]
    o = np.stack(outputs, 1)
    found = simple((SOURCE, TARGET))
    np.testing.assert_allclose(array(found), o, atol=1e-5)
    chances = np.take_along_axis(softmax(o), TARGET[..., None], -1)[..., 0]
    expected = -np.log(chances[TARGET > 0]).mean()  # of all symbols but padding
    np.testing.assert_allclose(array(loss(TARGET, found)), expected, rtol=1e-5)


@pytest.mark.long
def test_fit_reports_the_loss_and_the_accuracy_without_padding(simple):
    right = simple.predict((SOURCE, TARGET), verbose=0).argmax(-1) == TARGET
    simple.compile("adam", loss, metrics=["accuracy"])
    inputs = {"source": SOURCE, "target": TARGET}
    found = simple.evaluate(inputs, TARGET, verbose=0, return_dict=True)
    assert abs(found["accuracy"] - right[TARGET > 0].mean()) < 1e-6


@pytest.mark.long  # on JAX, where each loop outside of `fit` is compiled alone
@pytest.mark.parametrize("kind", ["symbols", "values"])
def test_a_padded_source_gives_the_context_of_the_one_without(kind):
    if kind == "symbols":
        model = EncoderDecoder(LayerNormGRU(3), kl.GRU(3), vocabulary=6)
        source, pad = random.integers(1, 6, (2, 4)), np.zeros((2, 3), int)
    else:
        model = EncoderDecoder(kl.LSTM(3), kl.GRU(3), mask_value=-1.0)
        source, pad = random.normal(size=(2, 4, 3)), -np.ones((2, 3, 3))
    model.build((None, None, *source.shape[2:]))
    alone = model.encode(source)
    for both in ([source, pad], [pad, source]):
        padded = np.concatenate(both, axis=1)
        np.testing.assert_allclose(model.encode(padded), alone, atol=1e-6)


PAIRS = {
    "LSTM": lambda: (kl.SimpleRNN(4), kl.LSTM(4)),
    "LayerNormGRU": lambda: (kl.SimpleRNN(4), LayerNormGRU(4)),
    "two cells": lambda: (
        kl.Bidirectional(kl.SimpleRNN(2)),
        kl.RNN([kl.GRUCell(3), kl.LSTMCell(4)]),
    ),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[] if n == "two cells" else pytest.mark.long)
        for n in PAIRS
    ],
)
def test_the_loop_that_writes_takes_the_steps_that_are_taught(name):
    """Of what was written the taught outputs say the same, for any states."""
    more = {"vocabulary": SYMBOLS, "embedding": 3, "readout": "maxout", "context": 3}
    model = EncoderDecoder(*PAIRS[name](), **more)
    model.build([(None, LENGTH), (None, LENGTH)])
    written, scores = moved(model).generate(SOURCE, scores=True)
    o = array(model((SOURCE, written))).copy()
    chances = np.log(np.take_along_axis(softmax(o), written[..., None], -1)[..., 0])
    np.testing.assert_allclose((chances * (written > 0)).sum(1), scores, rtol=1e-4)
    o[..., 0] = -np.inf  # padding is not chosen
    going_on = written > 0
    np.testing.assert_array_equal(o.argmax(-1)[going_on], written[going_on])


def test_nothing_follows_the_end(simple):
    kept = simple.to_output.get_weights()
    W, b = kept
    simple.to_output.set_weights([W, b + 100 * np.eye(SYMBOLS)[simple.end]])
    assert simple.generate(SOURCE).tolist() == [[1, 0, 0, 0]] * 3
    simple.to_output.set_weights([W, b - 100 * np.eye(SYMBOLS)[simple.end]])
    assert (simple.generate(SOURCE, method="beam", length=9) > 1).all()
    simple.to_output.set_weights(kept)


def every_sequence(length):
    """All that can be written: ended ones, padded, and those cut off at the length."""
    for n in range(1, length + 1):
        for body in itertools.product(range(2, SYMBOLS), repeat=n - 1):
            yield (*body, 1)
    yield from itertools.product(range(2, SYMBOLS), repeat=length)


def test_a_wide_beam_finds_all_sequences_in_their_order(simple):
    every = list(every_sequence(3))
    assert len(every) == 1 + 3 + 9 + 27
    c = simple.encode(SOURCE)
    written, scores = map(array, simple._beam(keras.ops.convert_to_tensor(c), 3, 40))
    for row in range(len(c)):
        values = np.array([log_p(simple, c[row], sequence) for sequence in every])
        order = np.argsort(-values)
        np.testing.assert_allclose(scores[row], values[order], rtol=1e-4)
        found = [tuple(symbols[symbols > 0]) for symbols in written[row]]
        assert found == [every[i] for i in order]
        assert 0.2 < np.exp(values).sum() < 1  # the rest is what padding is worth
    np.testing.assert_array_equal(simple.decode(c, 3, "beam", beams=40), written[:, 0])


def test_a_beam_of_one_is_greedy_and_a_wider_one_is_likelier(simple):
    greedy, alone = simple.generate(SOURCE, scores=True)
    one, score = simple.generate(SOURCE, method="beam", beams=1, scores=True)
    np.testing.assert_array_equal(one, greedy)
    np.testing.assert_allclose(score, alone, rtol=1e-6)
    _, wide = simple.generate(SOURCE, method="beam", beams=40, scores=True)
    assert (wide >= alone - 1e-6).all()


def test_samples_are_drawn_from_the_distribution(simple):
    """How often each first symbol comes, beside its probability; any batch size."""
    c = np.repeat(simple.encode(SOURCE[:1]), 4000, axis=0)
    drawn = simple.decode(c, 1, "sample", seed=3, batch_size=1500)
    again = simple.decode(c, 1, "sample", seed=3, batch_size=4000)
    np.testing.assert_array_equal(drawn, again)
    for temperature in (1.0, 0.5):
        drawn = simple.decode(c, 1, "sample", temperature=temperature, seed=3)
        o, _ = one_step(simple, c[0], simple.end, first_state(simple, c[0]))
        p = softmax(o[1:] / temperature)  # padding is never drawn
        found = np.bincount(drawn[:, 0], minlength=SYMBOLS)[1:] / len(c)
        np.testing.assert_allclose(found, p, atol=4 * np.sqrt(0.25 / len(c)))


def test_after_training_the_loop_has_the_new_weights(simple):
    before = simple.get_weights()
    written = simple.generate(SOURCE)
    simple.set_weights([-w for w in before])
    assert not np.array_equal(simple.generate(SOURCE), written)
    simple.set_weights(before)
    np.testing.assert_array_equal(simple.generate(SOURCE), written)


@pytest.fixture(scope="module")
def autoencoder():
    """Of real values, with contexts that are pushed outwards once it is frozen."""
    augmentation = FeatureSpaceAugmentation("extrapolate", neighbours=1, memory=6)
    model = EncoderDecoder(
        kl.GRU(4), kl.GRU(4), activation="sigmoid", augmentation=augmentation
    )
    model.build([(None, 3, 2, 2), (None, 3, 2, 2), (None,)])
    return moved(model)


X = random.uniform(size=(6, 3, 2, 2)).astype("float32")


def test_real_values_are_written_from_what_was_written(autoencoder):
    written = autoencoder.generate(X)
    assert written.shape == X.shape
    assert 0 < written.min() < written.max() < 1
    taught = array(autoencoder((X, written)))
    np.testing.assert_allclose(taught, written, atol=1e-5)


def test_what_it_gives_in_half_precision_is_float32():
    half = {"dtype": "mixed_bfloat16"}
    model = EncoderDecoder(kl.GRU(4, **half), kl.GRU(4, **half), **half)
    model.build([(None, 3, 2), (None, 3, 2)])
    x = np.ones((2, 3, 2), "float32")
    assert model.encode(x).dtype == model.generate(x).dtype == "float32"


@pytest.mark.long
def test_the_second_phase_augments_contexts_and_leaves_the_encoder(
    autoencoder, tmp_path
):
    model, labels = autoencoder, np.zeros(6, "int32")
    inputs = (X, X, labels)

    def trained():
        return array(model(inputs, training=True))

    np.testing.assert_array_equal(trained(), trained())  # it rests in the first phase
    model.compile("adam", "mse")
    model.freeze_encoder()
    with pytest.raises(ValueError, match="call `compile"):
        model.fit(inputs, X, verbose=0)
    c, weights = model.encode(X), model.get_weights()
    model.compile(keras.optimizers.SGD(1.0), "mse", run_eagerly=True)
    model.fit(inputs, X, epochs=2, batch_size=6, verbose=0)
    np.testing.assert_array_equal(model.encode(X), c)
    assert not np.array_equal(model.to_output.get_weights()[0], weights[-2])
    plain = model.predict((X, X), verbose=0)
    assert not np.allclose(trained(), plain, atol=1e-3)
    fresh = FeatureSpaceAugmentation("extrapolate", neighbours=1, memory=6)
    new = model.augment(X, labels, fresh)  # it knows no neighbours before
    assert new.shape == X.shape
    assert not np.allclose(new, model.generate(X), atol=1e-3)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.frozen
    assert not loaded.encoder.trainable
    assert not loaded.to_context.trainable
    with pytest.raises(ValueError, match="give them as the third input"):
        model((X, X), training=True)


@pytest.mark.long
def test_a_config_trains_on_pairs_in_a_file_and_shows_what_was_written(tmp_path):
    numbers = np.random.default_rng(0).integers(2, SYMBOLS, (40, LENGTH))
    numbers[:, -1] = 1
    np.savez(tmp_path / "pairs.npz", source=numbers[:, ::-1], target=numbers)
    layer = {"use": "SimpleRNN", "units": 4}
    config = {
        "data": {
            "use": "npz",
            "path": str(tmp_path / "pairs.npz"),
            "x": ["source", "target"],
            "y": "target",
            "batch_size": 9,
        },
        "model": {
            "use": "EncoderDecoder",
            "encoder": layer,
            "decoder": layer,
            "vocabulary": SYMBOLS,
        },
        "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
        "metrics": ["accuracy"],
        "compile": {"jit_compile": False},
        "fit": {"epochs": 1},
    }
    run = train(config, out=tmp_path / "runs")
    assert run.history["val_accuracy"][0] > 0
    x, y = run.data("validation")
    assert len(y) == 4
    found = run.model.figures(run)
    source, written = x["source"], run.model.generate(x["source"])
    assert found["Written from contexts"][0] == {
        "source": " ".join(map(str, source[0])),
        "written": " ".join(str(symbol) for symbol in written[0] if symbol),
        "target": " ".join(map(str, y[0])),
    }
    page = (run.path / "report.html").read_text()
    assert "Written from contexts" in page
    assert "figures(run) of EncoderDecoder failed" not in page


def test_pictures_of_real_values_and_the_plane_of_contexts(autoencoder):
    pytest.importorskip("matplotlib")

    class Run:
        def data(self, split):
            if split == "validation":
                raise ValueError("there is none")
            return X, X

    found = autoencoder.figures(Run())
    assert [*found] == ["Written from contexts", "Contexts"]
    assert len(found["Written from contexts"].axes) == 2 * len(X)
    points, share = principal(np.array([[0.0, 0, 0], [4, 0, 0], [0, 3, 0]]))
    np.testing.assert_allclose(np.linalg.norm(points[1] - points[2]), 5)
    assert share == 1


def make(**arguments):
    return EncoderDecoder(kl.GRU(2), kl.GRU(2), **arguments)


def test_bad_layers():
    for encoder, decoder, said in (
        ("GRU", kl.GRU(2), "`encoder` must be a layer"),
        (kl.GRU(2), kl.Dense(2), "must be a recurrent layer.*Received: Dense"),
        (kl.GRU(2), kl.Bidirectional(kl.GRU(2)), "give the layer that is in it"),
        (kl.GRU(2), kl.ConvLSTM1D(2, 3), "whose states are vectors"),
        (kl.GRU(2), kl.GRU(2, stateful=True), "stateful=True; leave that out"),
        (kl.GRU(2), kl.GRU(2, go_backwards=True), "go_backwards=True; leave"),
    ):
        with pytest.raises((TypeError, ValueError), match=said):
            EncoderDecoder(encoder, decoder, vocabulary=4)
    with pytest.raises(ValueError, match="give it return_sequences=False"):
        EncoderDecoder(kl.GRU(2, return_sequences=True), kl.GRU(2)).build((None, 3, 2))


def test_bad_arguments():
    for arguments, said in (
        ({"vocabulary": 1}, "`vocabulary` must be at least 2"),
        ({"vocabulary": 4, "end": 4}, "one of the symbols 1 to vocabulary - 1"),
        ({"vocabulary": 4, "end": 0}, "`end` must be at least 1"),
        ({"vocabulary": 4, "activation": "softmax"}, "from_logits=True. Received"),
        ({"readout": "deep"}, "`readout` must be one of 'linear', 'maxout'"),
        ({"mask_value": np.nan}, "`mask_value` must be a finite number"),
        ({"frozen": 1}, "`frozen` must be True or False"),
    ):
        with pytest.raises((TypeError, ValueError), match=said):
            make(**arguments)


def test_bad_shapes():
    for arguments, shape, said in (
        ({}, (None, 5), "for symbols say `vocabulary`"),
        ({"vocabulary": 4}, (None, 5, 2), "leave out the vocabulary"),
        ({"vocabulary": 4}, [(None, 5)] * 4, "Received: another number of inputs"),
        ({"vocabulary": 4}, {"x": (None, 5)}, "Received: x"),
        ({"vocabulary": 4, "length": 4}, (None, 5), "5 steps with length=4; raise"),
    ):
        with pytest.raises(ValueError, match=said):
            make(**arguments).build(shape)


def test_bad_calls(simple, autoencoder):
    with pytest.raises(ValueError, match="must be built before it writes"):
        make(vocabulary=4).generate(SOURCE)
    for call, said in (
        (lambda: simple.encode(SOURCE + 1), "0 to source_vocabulary - 1. Received: 1"),
        (lambda: simple.encode(SOURCE[:0]), "at least one row"),
        (lambda: simple.decode(SOURCE[:, :2]), r"`encode` gives, \(rows, 4\)"),
        (lambda: simple.generate(SOURCE, method="best"), "`method` must be one of"),
        (lambda: simple.generate(SOURCE, temperature=0), "greater than 0"),
        (lambda: simple.generate(SOURCE, beams=0), "`beams` must be at least 1"),
        (lambda: simple.augment(SOURCE), "give `augmentation="),
        (lambda: autoencoder.generate(X, method="beam"), "have no probabilities"),
    ):
        with pytest.raises(ValueError, match=said):
            call()
    model = make(vocabulary=4)
    model.build((None, None))
    with pytest.raises(ValueError, match="give `length`"):
        model.generate(SOURCE % 4)
