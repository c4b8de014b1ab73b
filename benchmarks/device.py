"""Train one model of each family on what accelerator there is, and measure it.

    python benchmarks/device.py [--backends jax torch] [--steps 10] [--out FILE]

A process for each model on each backend that is installed. The model takes two steps,
and the weights are compared with those after the same steps on the processor; without
an accelerator, with those after the same steps run operation by operation, not compiled
(PyTorch compiles nothing: there it shows only that a run repeats). Both take their
products in full float32, since an accelerator's own choice, such as TF32, would be all
that is seen. What is told is the norm of the difference over that of the two steps.
Where a backend draws other random numbers on the device than on the processor only the
loss is compared, loosely. Then the steps are timed, in `fit`, with the precision that
the backend chooses by itself, the data coming from the host. Last it is measured what
the device can do:

    product = 2 n^3 / seconds of an n x n matrix product       copy = 2 bytes / seconds

The achieved shares are of what a step needs at least. Its products are counted as three
times the forward pass' (2 x kernel x places where it acts); its bytes as activations
written and read, weights read twice and written, gradients and optimizer state written
and read. A small model's bytes stay in a cache, faster than the copy that is measured,
so their share may exceed one. Without an accelerator it is all the processor's.
"""

import argparse
import contextlib
import importlib
import importlib.util
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BACKENDS = ("tensorflow", "jax", "torch")
COMPARED = 2  # steps


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backends", nargs="+", choices=BACKENDS)
    parser.add_argument("--families", nargs="+", choices=FAMILIES)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", choices=FAMILIES, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    families = asked.families or [*FAMILIES]
    if asked.child:
        measure(asked.child, asked.steps)
        return
    backends = asked.backends or [b for b in BACKENDS if importlib.util.find_spec(b)]
    results, failed = [], []
    for backend in backends:
        environment = {**os.environ, "KERAS_BACKEND": backend}
        environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        found = []
        for family in families:
            command = [sys.executable, *sys.orig_argv[1:], "--child", family]
            child = subprocess.run(
                command, env=environment, stdout=subprocess.PIPE, text=True
            )
            if child.returncode:
                failed.append(f"{backend}: {family}")
            else:
                found.append(json.loads(child.stdout.splitlines()[-1]))
        if found:
            results.append(merged(found))
            print_result(results[-1])
        if asked.out:  # after each backend, for a later one may take too long
            write(results, asked.out)
    bad = [f"{r['backend']}: {m['family']}" for r in results for m in r["models"]]
    bad = [name for name, ok in zip(bad, agreements(results), strict=True) if not ok]
    if failed or bad:
        sys.exit(f"failed: {', '.join(failed) or '-'}; disagree: {', '.join(bad)}")


def write(results, path):
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    machine = {"cores": os.cpu_count(), "memory_gib": round(memory)}
    command = f"python benchmarks/device.py {' '.join(sys.argv[1:])}"
    whole = {"command": command, "machine": machine, "backends": results}
    path.write_text(json.dumps(whole, indent=1) + "\n")


def merged(found):
    """One result of several models': the device at its best, and shares of that."""
    product = max(one["product_flops"] for one in found)
    copy = max(one["copy_bytes"] for one in found)
    models = [one.pop("model") for one in found]
    for model in models:
        seconds = model["ms_per_step"] / 1000
        model["product_share"] = model.pop("flops") / seconds / product
        model["copy_share"] = model.pop("bytes") / seconds / copy
    rates = {"product_flops": product, "copy_bytes": copy}
    return {**found[0], **rates, "models": models}


def agreements(results):
    return [model["agrees"] for result in results for model in result["models"]]


def print_result(result):
    print(
        f"\n{result['backend']} {result['version']} on {result['device']}: products "
        f"{result['product_flops'] / 1e9:,.1f} GFLOP/s, copies "
        f"{result['copy_bytes'] / 1e9:,.1f} GB/s"
    )
    head = ("", "ms a step", "memory, MB", "of products", "of copies", "agrees")
    print("{:<12}{:>11}{:>12}{:>13}{:>11}  {}".format(*head))
    for m in result["models"]:
        print(
            f"{m['family']:<12}{m['ms_per_step']:>11.3g}{m['memory_mb']:>12,.0f}"
            f"{m['product_share']:>13.1%}{m['copy_share']:>11.1%}  "
            f"{'yes' if m['agrees'] else 'NO'}, {m['compared']} {m['difference']:.1e}"
        )


# What the child does: everything below imports Keras.


def residual():
    from keras_dlparts import backend
    from keras_dlparts.models import ResNet

    # Compared operation by operation, which takes minutes for a deep net.
    depth = 20 if backend.accelerators() else 8
    return ResNet(depth), (32, 32, 3), classes(10), {"optimizer": "sgd"}


def recurrent():
    import keras

    from keras_dlparts.layers import LayerNormLSTM

    layers = [LayerNormLSTM(128), keras.layers.Dense(10)]
    model = keras.Sequential([keras.Input((50, 32)), *layers])
    return model, (50, 32), classes(10), {"optimizer": "adam"}


def sparsity():
    import keras

    from keras_dlparts.layers import BayesianSparsityDropout

    dense = [keras.layers.Dense(512, "relu"), keras.layers.Dense(10)]
    layers = [BayesianSparsityDropout(layer, seed=i) for i, layer in enumerate(dense)]
    model = keras.Sequential([keras.Input((784,)), *layers])
    return model, (784,), classes(10), {"optimizer": "adam"}


def rbm():
    import keras

    from keras_dlparts.layers import RBM

    model = keras.Sequential([keras.Input((784,)), RBM(256, seed=0)])
    return model, (784,), None, {"optimizer": keras.optimizers.SGD(0.01)}


def clipping():
    import keras

    from keras_dlparts.models import MLP
    from keras_dlparts.optimizers import Clipped, FixedNorm

    optimizer = Clipped(keras.optimizers.Adam(1e-3), by=FixedNorm(0.1))
    return MLP(input_shape=(784,)), (784,), classes(10), {"optimizer": optimizer}


FAMILIES = {f.__name__: f for f in (residual, recurrent, sparsity, rbm, clipping)}
RANDOM = ("sparsity", "rbm")
BATCH = 64


def classes(count):
    return lambda random, n: random.integers(0, count, n)


def made(family):
    """A compiled model and a function that makes data for a number of steps."""
    import keras
    import numpy as np

    keras.utils.set_random_seed(0)
    model, shape, targets, options = FAMILIES[family]()
    loss = None
    if targets is not None:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def data(steps):
        random = np.random.default_rng(0)
        n = steps * BATCH
        x = random.uniform(size=(n, *shape)).astype("float32")
        return (x,) if targets is None else (x, targets(random, n))

    return model, loss, options, data


def steps_taken(model, data):
    """(mean loss, weights) after an epoch over some data."""
    history = model.fit(*data, batch_size=BATCH, shuffle=False, verbose=0).history
    return history["loss"][-1], model.get_weights()


def measure(family, steps):
    import keras

    from keras_dlparts import backend

    began = time.perf_counter()
    name = keras.backend.backend()
    found = backend.accelerators()
    model = row(family, steps, bool(found))
    result = {
        "backend": name,
        "version": importlib.import_module(name).__version__,
        "keras": keras.__version__,
        "device": f"{found[0]}, one of {len(found)}" if found else "the processor",
        "model": model,
        "product_flops": product_rate(bool(found)),
        "copy_bytes": copy_rate(bool(found)),
    }
    took = time.perf_counter() - began
    print(f"{name}: {family}, {took:.0f} s in all", file=sys.stderr, flush=True)
    print(json.dumps(result))


def row(family, steps, accelerated):
    model, loss, options, data = made(family)
    model.compile(loss=loss, **options)
    start = model.get_weights()
    few = data(COMPARED)
    with full_products():
        ours, weights = steps_taken(model, few)
        reference, same_draws = on_processor(family, start, few, accelerated)
    if family in RANDOM and not same_draws:
        compared, limit = "loss", 0.1
        difference = abs(ours - reference[0]) / abs(reference[0])
    else:
        compared, limit = "weights", 1e-2
        difference = distance(weights, reference[1]) / distance(reference[1], start)
    many = data(steps)
    steps_taken(model, many)
    times = []
    for _ in range(3):
        began = time.perf_counter()
        steps_taken(model, many)
        times.append((time.perf_counter() - began) / steps)
    flops, moved = work(model, family)
    return {
        "family": family,
        "parameters": model.count_params(),
        "batch_size": BATCH,
        "ms_per_step": 1000 * min(times),
        "memory_mb": memory_mb(accelerated),
        "flops": flops,
        "bytes": moved,
        "compared": compared,
        "difference": difference,
        "agrees": bool(difference < limit),
    }


@contextlib.contextmanager
def full_products():
    """Products of float32 numbers in float32, not in TF32."""
    import keras

    name = keras.backend.backend()
    if name == "jax":
        import jax

        with jax.default_matmul_precision("highest"):
            yield
    elif name == "torch":
        import torch

        before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        yield
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
    else:
        import tensorflow as tf

        before = tf.config.experimental.tensor_float_32_execution_enabled()
        tf.config.experimental.enable_tensor_float_32_execution(False)
        yield
        tf.config.experimental.enable_tensor_float_32_execution(before)


def distance(one, other):
    """The norm of the difference of two lists of weights."""
    import numpy as np

    squares = [np.sum((a - b) ** 2.0) for a, b in zip(one, other, strict=True)]
    return math.sqrt(sum(squares))


def on_processor(family, start, data, accelerated):
    """((loss, weights), whether random draws are those of the device)."""
    import keras
    import numpy as np

    def draws():
        return keras.ops.convert_to_numpy(keras.random.uniform((4,), seed=1))

    here = draws()
    # Not within the scope: it would forget which device PyTorch is to use.
    keras.backend.clear_session()
    # Keras copies PyTorch's variables from "cpu" to "cpu:0", and the copies get no
    # gradient.
    processor = "cpu" if keras.backend.backend() == "torch" else "cpu:0"
    with keras.device(processor):
        same = not accelerated or np.array_equal(here, draws())
        model, loss, options, _ = made(family)
        model.compile(loss=loss, run_eagerly=not accelerated, **options)
        model.set_weights(start)
        return steps_taken(model, data), same


def work(model, family):
    """(operations of the products, least bytes moved) of a training step."""
    import keras
    import numpy as np

    from keras_dlparts.config import planning

    forward = 0
    for layer, inputs, outputs in planning.calls(model, BATCH)[1]:
        kernels = [w for w in layer.trainable_weights if len(w.shape) >= 2]
        places = math.prod(outputs[0].shape[:-1])
        if isinstance(layer, keras.layers.RNN):
            places = math.prod(inputs[0].shape[:2])
        forward += 2 * places * sum(math.prod(w.shape) for w in kernels)
    # An RBM goes up, down and up again, and has two products for the gradient.
    flops = 5 * forward if family == "rbm" else 3 * forward
    held = sum(size for _, size in planning.activations(model, BATCH))
    weights = sum(np.prod(w.shape) for w in model.trainable_weights) * 4
    state = sum(np.prod(v.shape) for v in model.optimizer.variables) * 4
    return flops, 2 * held + 5 * int(weights) + 2 * int(state)


def product_rate(accelerated):
    """Operations a second of a float32 matrix product, the best of five."""
    from keras import ops

    n = 8192 if accelerated else 1024
    a = ops.ones((n, n))
    repeats = 10
    return 2 * n**3 / best(lambda a: a @ a / n, a, repeats)


def copy_rate(accelerated):
    """Bytes a second, read and written, of a copy."""
    from keras import ops

    count = 2**28 if accelerated else 2**24
    return 2 * 4 * count / best(lambda a: a + 1, ops.ones((count,)), 10)


def best(step, value, repeats):
    """Seconds of one of several steps on a value, synchronised at the end."""
    from keras import ops

    from keras_dlparts import backend

    step = backend.compiled(step)

    def run():
        began, result = time.perf_counter(), value
        for _ in range(repeats):
            result = step(result)
        float(ops.convert_to_numpy(ops.reshape(result, (-1,))[0]))
        return (time.perf_counter() - began) / repeats

    run()
    return min(run() for _ in range(5))


def memory_mb(accelerated):
    """The most memory held so far: of the device, or of this process."""
    import keras

    if not accelerated:
        from keras_dlparts.training.log import peak_memory_mb

        return peak_memory_mb()
    name = keras.backend.backend()
    if name == "tensorflow":
        import tensorflow as tf

        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20
    if name == "jax":
        import jax

        return jax.devices()[0].memory_stats()["peak_bytes_in_use"] / 2**20
    import torch

    return torch.cuda.max_memory_allocated() / 2**20


if __name__ == "__main__":
    main()
