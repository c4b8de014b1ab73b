"""`plan`: counted by hand on small nets, and against what Keras itself counts."""

import numpy as np
import pytest

from keras_dlparts import build, plan
from keras_dlparts.config import planning

LOSS = {"use": "SparseCategoricalCrossentropy", "from_logits": True}
CONFIG = {
    "data": {"use": "digits", "batch_size": 64},
    "model": [
        {"use": "Reshape", "target_shape": [8, 8, 1]},
        {"use": "Conv2D", "filters": 4, "kernel_size": 3, "name": "conv"},
        {"use": "BatchNormalization", "name": "norm"},
        {"use": "Flatten"},
        {"use": "Dropout", "rate": 0.5, "name": "drop"},
        {"use": "Dense", "units": 10, "name": "dense"},
    ],
    "loss": LOSS,
}
CONV = 6 * 6 * 4  # 8 - 3 + 1 places a side, four filters
TRAINED = (9 * 4 + 4) + (4 + 4) + (CONV * 10 + 10)
PARAMETERS = TRAINED + 4 + 4  # and the norm's moving averages


def test_a_small_net_by_hand():
    found = plan(CONFIG, replicas=4)
    assert found["parameters"] == PARAMETERS
    assert found["trainable_parameters"] == TRAINED
    assert found["weight_bytes"] == 4 * PARAMETERS
    assert found["gradient_bytes"] == 4 * TRAINED
    # Adam: two moments of each, the count of its steps (int32 or 64), the rate
    assert 0 <= found["optimizer_bytes"] - 2 * 4 * TRAINED - 4 - 4 <= 4
    share = 64 // 4
    assert found["batch_size_per_replica"] == share
    assert dict(found["activations"]) == {
        "input": 4 * share * 64,
        "conv": 4 * share * CONV,
        "norm": 4 * share * CONV,
        "drop": 4 * share * CONV,
        "dense": 4 * share * 10,
    }
    assert found["activation_bytes"] == 4 * share * (64 + 3 * CONV + 10)
    assert found["wire_bytes_per_step"] == 2 * 3 / 4 * 4 * TRAINED
    seconds = found["seconds_per_step"]["10 Gbit/s Ethernet"]
    assert seconds == pytest.approx(8 * found["wire_bytes_per_step"] / 10e9)
    total = [found[f"{k}_bytes"] for k in ("weight", "gradient", "optimizer")]
    assert found["replica_bytes"] == sum(total) + found["activation_bytes"]


def test_mixed_precision_halves_the_activations_and_not_the_wire():
    full, mixed = plan(CONFIG), plan(CONFIG, ["dtype_policy=mixed_bfloat16"])
    assert mixed["wire_bytes_per_step"] == full["wire_bytes_per_step"]
    assert mixed["weight_bytes"] == full["weight_bytes"]
    full, mixed = dict(full["activations"]), dict(mixed["activations"])
    for layer in ("conv", "norm", "drop", "dense"):
        assert mixed[layer] == full[layer] / 2
    whole = plan(CONFIG, ["dtype_policy=bfloat16"])
    assert whole["wire_bytes_per_step"] == 2 * TRAINED  # N = 2: once the gradients


def test_accumulated_gradients_are_held_and_summed_each_step():
    several = {"use": "Adam", "gradient_accumulation_steps": 4}
    plain, found = plan(CONFIG), plan(CONFIG | {"optimizer": several})
    assert found["optimizer_bytes"] - plain["optimizer_bytes"] == 4 * TRAINED
    assert found["wire_bytes_per_step"] == plain["wire_bytes_per_step"]
    assert (plain["steps_per_update"], found["steps_per_update"]) == (1, 4)


@pytest.mark.parametrize("layer", ["LSTM", "LayerNormLSTM"])
def test_a_recurrent_layer_holds_gates_and_states_of_each_step(layer):
    config = {
        "data": {"use": "adding", "length": 30, "samples": 50, "batch_size": 10},
        "model": [
            {"use": layer, "units": 7, "name": "r"},
            {"use": "Dense", "units": 1},
        ],
        "loss": "mse",
    }
    found = dict(plan(config, replicas=1)["activations"])
    assert found["r"] == 4 * 10 * 30 * (4 * 7 + 2 * 7)
    assert found["input"] == 4 * 10 * 30 * 2
    config["model"][0]["trainable"] = False  # its gates pass a gradient on all the same
    frozen = plan(config, replicas=1)
    assert dict(frozen["activations"]) == found
    assert frozen["trainable_parameters"] == 7 + 1


@pytest.mark.parametrize("remat", [False, True])
def test_a_block_counts_by_what_is_in_it_unless_it_computes_that_again(remat):
    block = {"use": "ResidualBlock", "filters": 4, "name": "b", "remat": remat}
    model = [{"use": "Input", "shape": [8, 8, 4]}, block]
    found = plan({"model": model, "loss": LOSS}, replicas=1)
    one = 4 * 8 * 8 * 4  # of one sample, without data
    # conv, norm, relu, conv, norm, and the relu after the sum
    assert found["activation_bytes"] == one * (2 if remat else 1 + 6)


MODELS = [
    {"use": "ResNet", "depth": 8},
    {"use": "PlainNet", "depth": 8},
    {"use": "MLP", "hidden": [20, 30], "norm": "batch", "input_shape": [5]},
    [{"use": "Input", "shape": [9, 3]}, {"use": "LayerNormGRU", "units": 4}],
]


@pytest.mark.parametrize("model", MODELS)
def test_parameters_are_those_of_the_built_model(model):
    config = {"model": model, "loss": LOSS}
    built, found = build(config), plan(config)
    assert found["parameters"] == built.count_params()
    assert found["trainable_parameters"] == sum(
        int(np.prod(w.shape)) for w in built.trainable_weights
    )


@pytest.mark.parametrize("replicas", [1, 2, 3, 8])
def test_the_ring_moves_what_the_formula_says(replicas):
    """Each of N nodes passes a chunk on, 2 (N - 1) times; then all have the sum."""
    size = 24
    values = np.random.default_rng(0).normal(size=(replicas, size))
    chunks = np.array(np.split(values, replicas, axis=1))  # chunk, node, elements
    held = chunks.transpose(1, 0, 2).copy()
    sent = 0
    for turn in range(2 * (replicas - 1)):
        before = held.copy()
        for node in range(replicas):
            chunk, to = (node - turn) % replicas, (node + 1) % replicas
            adds = turn < replicas - 1
            held[to, chunk] = before[node, chunk] + adds * before[to, chunk]
        sent += size // replicas
    for node in range(replicas):
        np.testing.assert_allclose(held[node].ravel(), values.sum(0))
    assert planning.ring_bytes(size * 4, replicas) == sent * 4


@pytest.mark.parametrize(("replicas", "error"), [(0, ValueError), (1.5, TypeError)])
def test_replicas_are_counted_from_one(replicas, error):
    with pytest.raises(error, match="`replicas` must be"):
        plan(CONFIG, replicas=replicas)
