"""`tpu` without a TPU: the calls that are made, and a run through them."""

import numpy as np
import pytest

from keras_dlparts import ConfigError, backend, distribute, train

pytestmark = pytest.mark.skipif(
    backend.name() != "tensorflow", reason="a TPUStrategy is of TensorFlow"
)


@pytest.fixture
def calls(monkeypatch):
    """What is called, in order; two devices of the processor stand for a TPU."""
    import tensorflow as tf

    made = []

    class Resolver:
        def __init__(self, tpu, zone, project):
            made.append(("resolve", tpu, zone, project))
            if tpu == "absent":
                raise ValueError("Please provide a TPU Name to connect to.")

    def note(name):
        def called(resolver):
            assert isinstance(resolver, Resolver)
            made.append(name)

        return called

    class Strategy:
        def __new__(cls, resolver):
            assert isinstance(resolver, Resolver)
            made.append("strategy")
            return distribute.strategy("mirrored", devices=2)

    resolvers = tf.distribute.cluster_resolver
    monkeypatch.setattr(resolvers, "TPUClusterResolver", Resolver)
    monkeypatch.setattr(tf.config, "experimental_connect_to_cluster", note("connect"))
    monkeypatch.setattr(
        tf.tpu.experimental, "initialize_tpu_system", note("initialize")
    )
    monkeypatch.setattr(tf.distribute, "TPUStrategy", Strategy)
    return made


def test_a_tpu_is_found_connected_and_begun_in_this_order(calls):
    strategy = distribute.strategy("tpu", tpu="grpc://far:8470", zone="z")
    assert distribute.replicas(strategy) == 2
    told = ("resolve", "grpc://far:8470", "z", None)
    assert calls == [told, "connect", "initialize", "strategy"]


def test_an_absent_tpu_is_told(calls):
    message = "no TPU answers. Received: tpu='absent', .*: Please provide a TPU Name"
    with pytest.raises(ValueError, match=message):
        distribute.strategy("tpu", tpu="absent")


@pytest.mark.long
def test_a_run_on_a_tpu_has_batches_of_one_size(calls, tmp_path, said):
    config = {
        "data": {"use": "spirals", "samples": 300, "batch_size": 16},
        "model": [{"use": "Dense", "units": 3}],
        "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
        "fit": {"epochs": 1},
        "distribute": {"use": "tpu", "tpu": "local"},
    }
    run = train(config, out=tmp_path)
    assert np.isfinite(run.history["val_loss"]).all()
    assert "distribute: tpu, 2 replicas" in said
    assert any("last batch of 14 samples; each epoch leaves out 14" in s for s in said)
    with pytest.raises(ConfigError, match="needs at least one whole batch"):
        train(config, ["data.batch_size=64"], out=tmp_path)
