"""Broken parts, and the check that catches each: the contract can fail.

Each part is good source text, of the package or below, and one replacement.
"""

import dataclasses
import sys
import types

import numpy as np
import pytest

from keras_dlparts import backend, registry, testing
from keras_dlparts.backend import keras_private
from keras_dlparts.layers.dropout import random_dropout
from keras_dlparts.layers.normalization import computed_kernels
from keras_dlparts.testing import exporting, quantizing
from keras_dlparts.testing.cases import cases

with open(random_dropout.__file__, encoding="utf-8") as file:
    RANDOM_DROPOUT = file.read().replace('serializable("dlparts")', 'serializable("m")')

AFFINE = '''
"""Shapes: x (batch, n) -> y (batch, n)."""
import keras
from keras import ops

@keras.saving.register_keras_serializable("m")
class Affine(keras.layers.Layer):
    """y = a x + b

    Args:
        start: Float.

    Example:

    >>> Affine()
    """

    def __init__(self, start=1.0, **kwargs):
        super().__init__(**kwargs)
        self.start = start

    def build(self, input_shape):
        self.a = self.add_weight(shape=input_shape[-1:], initializer="ones")
        self.b = self.add_weight(shape=input_shape[-1:], initializer="zeros")
        self.count = self.add_weight(shape=(), trainable=False, initializer="zeros")

    def call(self, inputs, training=False):
        return self.a * inputs * self.start + self.b

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "start": self.start}
'''

SOURCE = '''
import numpy as np
from keras_dlparts.data.source import Source, Splits

class Squares(Source):
    """Squares.

    Args:
        n: Integer.
        **kwargs: of `Source`.

    Example:

    >>> Squares()
    """

    def __init__(self, n=40, **kwargs):
        super().__init__(**kwargs)
        self.n = n

    def load(self):
        x = np.arange(self.n, dtype="float32")[:, None]
        return Splits(train=(x, x**2))
'''

CALLBACK = '''
import keras

class Count(keras.callbacks.Callback):
    """Counts epochs.

    Example:

    >>> Count()
    """

    def on_epoch_end(self, epoch, logs=None):
        self.count = epoch

    def figures(self, run):
        return []
'''

OPTIMIZER = '''
import keras

@keras.saving.register_keras_serializable("m")
class Descent(keras.optimizers.Optimizer):
    """Plain descent.

    Args:
        learning_rate: Float.
        decay: Float.

    Example:

    >>> Descent()
    """

    def __init__(self, learning_rate=0.1, decay=0.0, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.decay = decay

    def update_step(self, gradient, variable, learning_rate):
        self.assign_sub(variable, learning_rate * (gradient + self.decay * variable))

    def get_config(self):
        return {**super().get_config(), "decay": self.decay}
'''

PARTS = {
    "RandomDropout": ("layers", RANDOM_DROPOUT),
    "Affine": ("layers", AFFINE),
    "Squares": ("data", SOURCE),
    "Count": ("callbacks", CALLBACK),
    "Descent": ("optimizers", OPTIMIZER),
}


@pytest.fixture
def part_from(monkeypatch):
    """A function that makes a registry part of source text, in a module of its own."""

    def make(name, old="", new=""):
        kind, text = PARTS[name]
        assert old in text  # else the replacement has gone stale
        module = types.ModuleType("mutant")
        monkeypatch.setitem(sys.modules, "mutant", module)
        exec(text.replace(old, new) if old else text, module.__dict__)
        return registry.Part(kind, f"m.{name}", f"mutant:{name}", "m 1")

    return make


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in PARTS if name != "RandomDropout"])
def test_good_part_keeps_everything(part_from, name):
    for check in testing.checks(part_from(name)):
        if not check.skip:
            check.run()


@pytest.mark.parametrize(
    ("name", "old", "new", "caught_by"),
    [
        # What it says about itself
        (
            "RandomDropout",
            "        seed: Optional integer, for draws that repeat.\n",
            "",
            "documents its arguments",
        ),
        (
            "RandomDropout",
            "noise_shape: Sequence[int | None] | None = None,\n"
            "        seed: int | None = None",
            "seed: int | None = None,\n"
            "        noise_shape: Sequence[int | None] | None = None",
            "documents its arguments",
        ),
        ("RandomDropout", "Example:", "See:", "shows an example"),
        ("Affine", "Shapes: x (batch, n) -> y (batch, n).", "", "names its shapes"),
        (
            "Affine",
            '@keras.saving.register_keras_serializable("m")',
            "",
            "is registered with keras",
        ),
        # The constructor and the config
        (
            "RandomDropout",
            "super().__init__(**kwargs)",
            "super().__init__()",
            "rejects an unknown argument",
        ),
        (
            "RandomDropout",
            '            "seed": self.seed,\n',
            "",
            "revives from its config",
        ),
        ("Affine", ': self.start}', ": {1, 2}}", "revives from its config"),
        ("Affine", ": self.start}", ": self.start + 1}", "revives from its config"),
        (
            "RandomDropout",
            '"rate": self.rate',
            '"rate": 0.5',
            "revived behaves the same",
        ),
        (
            "Affine",
            "self.count = ",
            "self.c = keras.random.normal(()); self.start += self.c; self.count = ",
            "survives a keras file",
        ),
        # What it computes
        (
            "RandomDropout",
            "return input_shape",
            "return (*input_shape[:-1], 1)",
            "shapes agree",
        ),
        (
            "Affine",
            "    def compute_output_shape",
            "    def compute_output_spec(self, inputs, training=False):\n"
            '        return keras.KerasTensor(inputs.shape, "int32")\n\n'
            "    def compute_output_shape",
            "shapes agree",
        ),
        (
            "RandomDropout",
            "        shape = ops.shape(inputs)",
            "        inputs = ops.convert_to_tensor(ops.convert_to_numpy(inputs))\n"
            "        shape = ops.shape(inputs)",
            "fits",
        ),
        ("Affine", "return self.a * inputs", "return self.a * ops.log(0.0)", "fits"),
        ("Affine", " + self.b", "", "fits"),
        ("Affine", "self.a * inputs", "self.a * ops.stop_gradient(inputs)", "fits"),
        (
            "RandomDropout",
            "ops.cast(kept, x.dtype)",
            'ops.cast(kept, "float32")',
            "works in mixed precision",
        ),
        (
            "Affine",
            'initializer="ones")',
            'initializer="ones", dtype=self.compute_dtype)',
            "works in mixed precision",
        ),
        (
            "RandomDropout",
            "    def compute_output_shape",
            "    def compute_mask(self, inputs, previous_mask):\n"
            "        return None\n\n"
            "    def compute_output_shape",
            "passes masks",
        ),
        (
            "RandomDropout",
            "    def compute_output_shape",
            "    def compute_mask(self, inputs, previous_mask):\n"
            "        return ops.logical_not(previous_mask)\n\n"
            "    def compute_output_shape",
            "passes masks",
        ),
        # Randomness
        ("RandomDropout", "SeedGenerator(seed)", "SeedGenerator()", "seeds repeat"),
        (
            "RandomDropout",
            "seed=self.seed_generator",
            "seed=self.seed or 1",
            "seeds repeat",
        ),
        (
            "RandomDropout",
            "if not training or not self.rate",
            "if not self.rate",
            "infers deterministically",
        ),
        (
            "RandomDropout",
            "training=False",
            "training=True",
            "infers deterministically",
        ),
        (
            "Affine",
            "        return self.a",
            "        self.count.assign(self.count + 1)\n        return self.a",
            "infers deterministically",
        ),
        (
            "Affine",
            "self.start = start",
            'self.start = start; "name" in kwargs or setattr(self, "new", True)',
            "passes the layer test of keras",
        ),
        # Elsewhere
        (
            "Affine",
            "        self.b = ",
            "        self.d = keras.layers.Dense(3); self.d.build(input_shape)\n"
            "        self.b = ",
            "quantizes to int8",
        ),
        ("Affine", "return self.a", "return ops.erfinv(self.a)", "exports as onnx"),
        # Other kinds
        ("Squares", "**kwargs):", "**kwargs):\n        kwargs.pop('seed', 0)",
         "orders by seed and epoch"),
        ("Squares", "self.n = n", "self.n = n; self.train.shuffle = False",
         "orders by seed and epoch"),
        ("Squares", "    def load", "    element_spec = (np.zeros(2), np.zeros(1))\n\n"
         "    def load", "yields what it declares"),
        ("Squares", "x**2", "x / 0 * x", "feeds fit"),
        ("Squares", "**kwargs):", "**kwargs):\n        kwargs.pop('batch_size', 0)",
         "yields what it declares"),
        ("Count", "def figures(self, run)", "def figures(self)",
         "offers figures rightly"),
        ("Count", "self.count = epoch", "self.count += epoch", "fits"),
        ("Descent", ', "decay": self.decay', "", "revives from its config"),
        ("Descent", "learning_rate * (", "0 * (", "fits"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_broken_part_is_caught(part_from, name, old, new, caught_by):
    checks = testing.checks(part_from(name, old, new))
    asked = [check for check in checks if check.name == caught_by]
    assert asked
    failures = []
    for check in asked:
        try:
            check.run()
        except Exception as error:
            failures.append(error)
    assert failures


def test_what_is_listed_as_not_exported_must_fail():
    if exporting.exports_as_onnx.unasked():
        pytest.skip(exporting.exports_as_onnx.unasked())
    (case, *_) = cases(registry.find("layers", "RandomDropout"))
    listed = dataclasses.replace(case, not_exported={"onnx": "it draws"})
    with pytest.raises(testing.ContractError, match=r"\(it draws\), and it can"):
        exporting.exports_as_onnx(listed)


def test_a_kernel_that_is_used_and_was_quantized_away_is_caught(monkeypatch):
    """What layers with a computed kernel did before they kept their layer whole."""
    monkeypatch.setattr(computed_kernels, "keep_whole", lambda *_: None)
    monkeypatch.setattr(computed_kernels, "is_whole", lambda _: True)
    (case, *_) = cases(registry.find("layers", "SpectralWeightNormalization"))
    with pytest.raises(testing.ContractError, match="int8"):
        quantizing.quantizes_to_int8(case)


def test_training_that_is_traced_again_is_caught(part_from):
    if not backend.can_compile():  # asked now: a run may have made it deterministic
        pytest.skip("nothing is compiled, so there are no traces")
    again = "self.model.make_train_function(force=True)"
    test_broken_part_is_caught(
        part_from, "Count", "self.count = epoch", again, "is traced once"
    )


@pytest.mark.skipif(backend.name() != "tensorflow", reason="its replicas differ alone")
@pytest.mark.parametrize(
    ("name", "old", "new", "caught_by"),
    [
        (
            "RandomDropout",
            "backend.SeedGenerator(seed)",
            "keras.random.SeedGenerator(seed)",
            "replicas draw differently",
        ),
        (
            "RandomDropout",
            '"still": {"rate": 0.0},',
            "",
            "two replicas equal one device",
        ),
        (
            "Affine",
            "self.a * inputs",
            "self.a * (inputs - ops.mean(inputs, axis=0))",
            "two replicas equal one device",
        ),
        (
            "Affine",
            "        return self.a",
            "        self.count.assign(ops.sum(inputs))\n        return self.a",
            "two replicas equal one device",
        ),
    ],
)
def test_part_that_is_wrong_on_replicas_is_caught(part_from, name, old, new, caught_by):
    test_broken_part_is_caught(part_from, name, old, new, caught_by)


def test_part_whose_shapes_depend_on_values_is_caught(part_from):
    if not backend.can_compile():
        pytest.skip("nothing is compiled")
    some = " + 0 * ops.sum(ops.cast(ops.nonzero(inputs)[0], 'float32'))"
    test_broken_part_is_caught(
        part_from, "Affine", " + self.b", f" + self.b{some}", "compiles for a tpu"
    )


def test_part_that_cannot_equal_one_device_says_so_to_its_users(part_from):
    case = '"still": {"rate": 0.0}'
    part = part_from("RandomDropout", case, '"alone": "it draws at random"')
    check = next(c for c in testing.checks(part) if "equal one device" in c.name)
    with pytest.raises(testing.ContractError, match="docstring must tell"):
        check.run()


@pytest.mark.slow
def test_verify_goes_on_after_a_failure_and_needs_the_new_process(part_from):
    """Our module exists in this process only, so the new one cannot load the part."""
    results = testing.verify(part_from("Affine", "Example:", "See:"))
    failed = {result.check: result.message for result in results if not result.ok}
    assert list(failed) == [
        "m.Affine: shows an example",
        "m.Affine(): loads in a new process",
    ]
    assert "Affine" in failed["m.Affine(): loads in a new process"]


def test_part_that_does_not_import_is_one_failure():
    part = registry.Part("layers", "m.Gone", "no_such_module:Gone", "m 1")
    (check,) = testing.checks(part)
    with pytest.raises(registry.RegistryError, match="no_such_module"):
        check.run()


def test_case_without_arguments_says_how_to_add_one(part_from):
    part = part_from("RandomDropout", '    "RandomDropout": (', '    "ops": (')
    (check,) = testing.checks(part)
    with pytest.raises(testing.ContractError) as caught:
        check.run()
    assert 'CASES = {"RandomDropout": ({"arguments": {"rate": ...}' in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('    "RandomDropout": (', '    "RandomDropuot": (', "which that module lacks"),
        ('"input_shape"', '"shape"', "A case of CASES in mutant is a dict with"),
        ("CASES = {", 'CASES = {"RandomDropout": 3} or {', "to a tuple of dicts"),
    ],
)
def test_bad_cases_are_errors(part_from, old, new, message):
    (check,) = testing.checks(part_from("RandomDropout", old, new))
    with pytest.raises(testing.ContractError, match=message):
        check.run()


def test_skipped_case_gives_its_reason(part_from):
    part = part_from("RandomDropout", '"input_shape": (4, 8)', '"skip": "no card"')
    skipped = {check.skip for check in testing.checks(part) if "seed=3" in check.of}
    assert skipped == {"no card"}


def test_layer_test_of_keras_that_moved_is_told(part_from, monkeypatch):
    monkeypatch.delattr(keras_private.test_case(), "run_layer_test")
    check = testing.checks(part_from("RandomDropout"))[-1]
    with pytest.raises(testing.ContractError, match=r"keras_private\.py"):
        check.run()


def test_files_that_a_source_reads_are_written_by_its_case(part_from):
    part = part_from(
        "Squares",
        "class Squares",
        "def written(folder):\n"
        "    (Path(folder) / 'n').write_text('40')\n"
        "    return {'n': Path(folder) / 'n'}\n\n"
        "from pathlib import Path\n"
        "CASES = {'Squares': ({'arguments': written},)}\n\n"
        "class Squares",
    )
    part.load().load = lambda self: _squares(int(self.n.read_text()))
    for check in testing.checks(part):
        check.run()


def _squares(n):
    from keras_dlparts.data.source import Splits

    return Splits(train=(np.arange(n, dtype="float32")[:, None], None))
