"""Hopfield against its definition, unit by unit. The contract: tests/contracts."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_dlparts import backend
from keras_dlparts.config.adaptation import adapt
from keras_dlparts.data import Batches
from keras_dlparts.layers import Hopfield


def patterns(rows, n, seed=0):
    return np.random.default_rng(seed).choice([-1.0, 1.0], (rows, n))


def hebb(x):
    W = x.T @ x / x.shape[1]
    np.fill_diagonal(W, 0)
    return W


def storkey(x):
    n = x.shape[1]
    W = np.zeros((n, n))
    for row in x:
        before = W.copy()
        for i in range(n):
            for j in set(range(n)) - {i}:
                rest = [k for k in range(n) if k not in (i, j)]
                h_ij = before[i, rest] @ row[rest]
                h_ji = before[j, rest] @ row[rest]
                W[i, j] += (row[i] * row[j] - row[i] * h_ji - h_ij * row[j]) / n
    return W


def pseudo_inverse(x):
    W = np.linalg.pinv(x) @ x
    np.fill_diagonal(W, 0)
    return W


def recalled(x, W):
    """(x after one unit after the other, in their order; the least that a sign hung on,
    row by row)."""
    x, least = x.copy(), np.full(len(x), np.inf)
    for r, row in enumerate(x):
        for i in range(len(row)):
            field = W[i] @ row
            least[r] = min(least[r], abs(field))
            row[i] = np.sign(field) or row[i]
    return x, least


def numpy(x):
    return ops.convert_to_numpy(x)


RULES = {"hebb": hebb, "storkey": storkey, "pseudo_inverse": pseudo_inverse}


@pytest.mark.filterwarnings("ignore:.* patterns are not kept")
@pytest.mark.parametrize("rule", RULES)
def test_energy_and_recall_are_those_of_the_weights_that_the_rule_defines(rule):
    x, start = patterns(5, 12), patterns(8, 12, seed=1)
    W = RULES[rule](x)
    clear = np.abs(start @ W) > 1e-4  # rounding decides the others
    layer = Hopfield(rule, steps=1)
    layer.store(x[:3])  # what comes later is added
    layer.store(x[3:])
    np.testing.assert_allclose(
        numpy(layer.energy(start)),
        -np.einsum("bi,ij,bj->b", start, W, start) / 2,
        rtol=1e-4,
        atol=1e-5,
    )
    expected, least = recalled(start, W)
    assert (least > 1e-4).sum() >= 4
    np.testing.assert_array_equal(
        numpy(layer(start))[least > 1e-4], expected[least > 1e-4]
    )
    at_once = numpy(layer.recall(start, order="synchronous"))
    np.testing.assert_array_equal(at_once[clear], np.sign(start @ W)[clear])


@pytest.mark.filterwarnings("ignore:.* patterns are not kept")
@pytest.mark.parametrize("rule", RULES)
def test_energy_never_rises_unit_by_unit_and_recall_ends_where_nothing_changes(rule):
    layer = Hopfield(rule)
    layer.store(patterns(9, 30))
    x = patterns(20, 30, seed=1)
    before = numpy(layer.energy(x))
    for _ in range(12):
        x = numpy(layer.recall(x, steps=1))
        energy = numpy(layer.energy(x))
        assert (energy <= before + 1e-5).all()
        before = energy
    assert numpy(layer.stable(x)).all()
    np.testing.assert_array_equal(numpy(layer.recall(x, steps=50)), x)


def test_units_at_once_may_go_round_in_two_states():
    layer = Hopfield("hebb", order="synchronous")
    layer.store([[1.0, -1.0]])  # w_12 = -1/2: each unit wants what the other is not
    alike = np.array([[1.0, 1.0]])
    np.testing.assert_array_equal(numpy(layer.recall(alike, steps=1)), -alike)
    np.testing.assert_array_equal(numpy(layer.recall(alike, steps=2)), alike)
    assert not numpy(layer.stable(alike)).any()
    settled = numpy(layer.recall(alike, order="asynchronous"))
    assert settled.tolist() in ([[1, -1]], [[-1, 1]])


def test_pseudo_inverse_keeps_patterns_that_are_alike_where_hebb_loses_them():
    x = patterns(10, 40)
    x[1:, :25] = x[0, :25]  # the most of each is the same
    layer = Hopfield("pseudo_inverse")
    layer.store(x)
    assert numpy(layer.stable(x)).all()
    before = layer.get_weights()[0]
    layer.store(x[::-1])  # spanned already
    np.testing.assert_allclose(layer.get_weights()[0], before, atol=1e-5)
    with pytest.warns(UserWarning, match="of the 10 patterns are not kept.*n=40"):
        Hopfield("hebb").store(x)


def test_clamped_units_keep_their_value_and_free_ones_are_completed():
    x = patterns(4, 50)
    layer = Hopfield("pseudo_inverse")
    layer.store(x)
    half = np.where(np.arange(50) < 25, x, np.nan)
    start = np.ones_like(x)
    np.testing.assert_array_equal(numpy(layer.recall(start, clamp=half)), x)
    odd = np.full(50, np.nan)
    odd[0] = 1  # of one row, for all of them
    assert (numpy(layer.recall(x, clamp=odd))[:, 0] == 1).all()


def test_it_adapts_to_patterns_in_place_of_others():
    x, other = patterns(3, 20), patterns(3, 20, seed=1)
    layer = Hopfield("pseudo_inverse")
    layer.adapt(other)
    layer.adapt(iter([(x[:2], None), (x[2:], None)]))  # batches, as of a data set
    W = pseudo_inverse(x)
    np.testing.assert_allclose(
        numpy(layer.energy(other)),
        -np.einsum("bi,ij,bj->b", other, W, other) / 2,
        rtol=1e-4,
        atol=1e-4,
    )


def test_a_run_of_a_config_lets_it_adapt():
    x = patterns(4, 20)
    layer = Hopfield("pseudo_inverse")
    adapt(keras.Sequential([keras.Input((20,)), layer]), Batches(x, batch_size=2))
    assert numpy(layer.stable(x)).all()
    assert numpy(layer.energy(x)).max() < 0


def test_a_gradient_passes_as_through_the_identity():
    layer = Hopfield()
    layer.store(patterns(1, 4))
    front = keras.layers.Dense(4, kernel_initializer="identity", use_bias=False)
    model = keras.Sequential([keras.Input((4,)), front, layer])
    model.compile(keras.optimizers.SGD(1.0), loss=lambda y, p: ops.sum(p, -1))
    model.fit(np.ones((1, 4)), np.zeros((1, 4)), verbose=0)
    # y_j = sum_i w_ij with inputs of 1: every weight falls by one.
    np.testing.assert_allclose(front.get_weights()[0], np.eye(4) - 1, atol=1e-6)


@pytest.mark.skipif(
    backend.name() != "torch", reason="PyTorch's exporter records loops"
)
@pytest.mark.filterwarnings("ignore")  # of the exporter, which names what it fixes
@pytest.mark.parametrize("order", ["asynchronous", "synchronous"])
def test_an_exported_layer_recalls_what_its_sample_did_not_need(order, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    x = patterns(4, 12)
    layer = Hopfield("pseudo_inverse", steps=4, order=order)
    layer.store(x)
    model = keras.Sequential([keras.Input((12,)), layer])
    model.predict(x, verbose=0)  # stored patterns rest after one round
    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    others = patterns(50, 12, seed=1).astype("float32")
    (found,) = session.run(None, {session.get_inputs()[0].name: others})
    np.testing.assert_array_equal(found, model.predict(others, verbose=0))


def test_what_is_no_pattern_is_refused():
    layer = Hopfield()
    for bad in (np.zeros((1, 4)), np.full((1, 4), 0.5), np.array([[1, 0, 1, 0]])):
        with pytest.raises(ValueError, match=r"patterns of -1 and 1 only.*Received: 0"):
            layer.store(bad)
    with pytest.raises(ValueError, match=r"shape \(rows, 4\). Received: \(1, 5\)"):
        layer.recall(np.ones((1, 5)))
    with pytest.raises(ValueError, match=r"shape \(rows, n\). Received: \(4,\)"):
        Hopfield().store(np.ones(4))
    with pytest.raises(ValueError, match="-1 and 1 only"):
        layer.recall(np.ones((1, 4)), clamp=[0.5, np.nan, 1, 1])
    with pytest.raises(ValueError, match=r"`rule` must be one of .*'storkey'"):
        Hopfield("hebbian")
    with pytest.raises(ValueError, match="`order` must be one of"):
        Hopfield(order="random")
    with pytest.raises(ValueError, match="`steps` must be at least 1"):
        Hopfield(steps=0)
    with pytest.raises(ValueError, match="Put a Flatten before it"):
        Hopfield()(np.ones((1, 2, 2)))
