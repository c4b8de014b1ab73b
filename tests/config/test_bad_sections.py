"""Bad configs: keys and values of the sections."""

import pytest

# name: ({"line:column  path": a phrase of the message}, the file). What a case is
# not about is good: `model: [Flatten]` fails to meet mse, but that is told later.
BAD = {
    "typo in a top-level key": (
        {"3:1  optimiser": "did you mean 'optimizer'?"},
        """\
data: digits
model: [{use: Dense, units: 10}]
optimiser: Adam
""",
    ),
    "typos in the keys of sections": (
        {
            "4:3  fit.epoch": "did you mean 'epochs'?",
            "5:11  compile.jit": "accepted: jit_compile, run_eagerly",
            "6:8  best.monitr": "did you mean 'monitor'?",
        },
        """\
data: digits
model: [{use: Dense, units: 10}]
fit:
  epoch: 3
compile: {jit: true}
best: {monitr: loss}
""",
    ),
    "text for a number": (
        {
            "2:15  fit.epochs": "a whole number is expected. Received: 'twenty'",
            "3:7  seed": "a whole number is expected; write it without quotes",
        },
        'model: [Flatten]\nfit: {epochs: twenty}\nseed: "0"\n',
    ),
    "a fraction for a whole number": (
        {"2:15  fit.epochs": "Received: 2.5", "3:7  seed": "Received: 1000.0"},
        "model: [Flatten]\nfit: {epochs: 2.5}\nseed: 1e3\n",
    ),
    "not finite": (
        {"2:15  fit.epochs": "Received: nan", "3:7  seed": "Received: -inf"},
        "model: [Flatten]\nfit: {epochs: .nan}\nseed: -.inf\n",
    ),
    "one thing for a list": (
        {
            "2:10  metrics": "a list is expected: each item after `- `, or all in [",
            "3:12  callbacks": "Received: 'TerminateOnNaN'",
        },
        "model: [Flatten]\nmetrics: accuracy\ncallbacks: TerminateOnNaN\n",
    ),
    "a list or text for a mapping": (
        {
            "2:6  fit": "a mapping of keys is expected. Received: [1, 2]",
            "3:10  compile": "Received: 'fast'",
        },
        "model: [Flatten]\nfit: [1, 2]\ncompile: fast\n",
    ),
    "no, yes, off for truth values": (
        {
            "2:42  model[0].use_bias": "true or false is expected (YAML 1.2 reads yes,",
            "3:16  deterministic": "true or false is expected (YAML 1.2 reads yes, no",
            "4:24  compile.run_eagerly": "Received: 'yes'",
            "4:42  compile.jit_compile": "true, false or 'auto' is expected (YAML 1.2",
        },
        """\
data: digits
model: [{use: Dense, units: 3, use_bias: no}]
deterministic: no
compile: {run_eagerly: yes, jit_compile: off}
""",
    ),
    "numbers out of range": (
        {
            "1:33  data.batch_size": "`batch_size` must be at least 1. Received:",
            "3:15  fit.epochs": "must be greater than or equal to 1. Received: 0",
            "3:35  fit.validation_freq": "must be greater than or equal to 1",
            "4:7  seed": "must be less than 4294967296. Received: 4294967296",
            "5:32  compile.steps_per_execution": "greater than or equal to 1",
        },
        """\
data: {use: digits, batch_size: -1}
model: [{use: Dense, units: 10}]
fit: {epochs: 0, validation_freq: 0}
seed: 4294967296
compile: {steps_per_execution: 0}
""",
    ),
    "numbers too large": (
        {"3:15  fit.epochs": "a whole number of at most 64 bits is expected"},
        f"model: [Flatten]\nseed: 0\nfit: {{epochs: 0x{'f' * 900}}}\n",
    ),
    "version of another format": (
        {"1:10  dlparts": "must be 1. Received: 2"},
        "dlparts: 2\nmodel: [Flatten]\n",
    ),
    "unknown backend": (
        {"2:10  backend": "must be 'tensorflow', 'jax' or 'torch'. Received: 'mxnet'"},
        "model: [Flatten]\nbackend: mxnet\n",
    ),
    "names that are no file names": (
        {"2:7  name": "letters, digits and . _ - are expected"},
        "model: [Flatten]\nname: runs/first\n",
    ),
    "no model": ({"1:1": "`model:` is missing"}, "data: digits\n"),
    "empty model": (
        {"2:8  model": "at least one layer is expected"},
        "data: digits\nmodel: []\n",
    ),
    "empty sections": (
        {
            "2:7  model": "a list of layers, or the name of a model, is expected;",
            "3:11  optimizer": "an optimizer is expected: its name, or {use: name,",
            "5:9  metrics": "a list is expected; leave the key out for its default",
            "6:5  fit": "a mapping of keys is expected; leave the key out",
            "7:6  seed": "leave the key out for its default. Received: nothing (null)",
        },
        "data:\nmodel:\noptimizer:\nloss:\nmetrics:\nfit:\nseed:\n",
    ),
    "class weights by name": (
        {
            "2:22  fit.class_weight.cat": "a whole number is expected as the key",
            "2:35  fit.class_weight.1": "a number is expected. Received: 'heavy'",
        },
        "model: [Flatten]\nfit: {class_weight: {cat: 1.0, 1: heavy}}\n",
    ),
    "numbers that are not finite": (
        {
            "2:27  pretrain.learning_rate": "a finite number is expected. Received",
            "3:25  fit.class_weight.1": "a finite number is expected. Received: nan",
        },
        "model: [Flatten]\npretrain: {learning_rate: .inf}\n"
        "fit: {class_weight: {1: .nan}}\n",
    ),
    "words that are none of those accepted": (
        {
            "2:15  dtype_policy": "'mixed_float16' or 'mixed_bfloat16'. Received: 'flo",
            "3:14  best.mode": "must be 'auto', 'min' or 'max'. Received: 'lowest'",
        },
        "model: [Flatten]\ndtype_policy: float8\nbest: {mode: lowest}\n",
    ),
    "a strategy that there is not": (
        {"2:13  distribute": "must be 'auto', 'none', 'mirrored', 'multi_worker', 't"},
        "model: [Flatten]\ndistribute: mirorred\n",
    ),
    "options that a strategy does not take": (
        {
            "2:29  distribute.device": "unknown option of mirrored; did you mean 'dev",
        },
        "model: [Flatten]\ndistribute: {use: mirrored, device: 2}\n",
    ),
    "a remainder that is kept": (
        {"2:40  distribute.remainder": "must be 'drop' or 'error'. Received: 'keep'"},
        "model: [Flatten]\ndistribute: {use: mirrored, remainder: keep}\n",
    ),
    "options of no strategy": (
        {"2:14  distribute.devices": "unknown option of none; accepted: remainder, "},
        "model: [Flatten]\ndistribute: {devices: 2}\n",
    ),
    "a search in a section": (
        {"2:15  fit.epochs": "`search: int` needs max"},
        "model: [Flatten]\nfit: {epochs: {search: int, min: 3}}\n",
    ),
    "a search for a whole config": (
        {"1:9  search": "a mapping of keys is expected", "2:1  of": "unknown key"},
        "search: one_of\nof: [{model: [Flatten]}]\nmodel: [Flatten]\n",
    ),
    "several, of all kinds": (
        {
            "2:1  modle": "did you mean 'model'?",
            "4:11  model[0].use": "keras.Dense needs `units:`",
            "4:18  model[0].unts": "did you mean 'units'?",
            "5:26  model[1].rate": "Expected a float value between 0 and 1",
            "6:11  metrics[0]": "did you mean 'accuracy'?",
            "7:15  fit.epochs": "greater than or equal to 1",
            "8:59  optimizer.learning_rate.min": "must not exceed max",
        },
        """\
data: digits
modle: [Flatten]
model:
  - {use: Dense, unts: 10}
  - {use: Dropout, rate: 3}
metrics: [acuracy]
fit: {epochs: 0}
optimizer: {use: SGD, learning_rate: {search: float, min: 2, max: 1}}
""",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_is_refused(assert_told, case):
    assert_told(*BAD[case])


def test_other_backend_than_the_running_one(assert_told):
    import keras

    running = keras.backend.backend()
    other = "jax" if running == "tensorflow" else "tensorflow"
    text = f"model: [Flatten]\nbackend: {other}\n"
    phrase = f"for {other}, but Keras already runs on {running}; set KERAS_BACKEND="
    assert_told({"2:10  backend": phrase}, text)
