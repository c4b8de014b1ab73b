"""Good files: scalars, three spellings of one config, and places."""

import math

import pytest

from keras_dlparts.config import load
from keras_dlparts.config.read import read

YAML = r"""# an experiment
data: {use: digits, batch_size: 50}
model:
- use: Dense
  units: 16
  kernel_regularizer: {use: L2, l2: 1e-3}
  name: wide
- {use: Dropout, rate: {search: float, min: 0, max: 0.5, default: 0.25}}
- {use: Dense, units: 10, name: "\u007a \"quoted\""}
optimizer: {use: SGD, nesterov: false, momentum: 0.5}
loss: {use: SparseCategoricalCrossentropy, from_logits: true}
metrics: [accuracy, {use: SparseTopKCategoricalAccuracy, k: 2}]
fit: {epochs: 2, class_weight: {"0": 2.0}}
name: spelt
"""
TOML = r"""# an experiment
metrics = [
  "accuracy",  # a word
  { use = "SparseTopKCategoricalAccuracy", k = 2 },
]
name = 'spelt'
data = { use = "digits", batch_size = 50 }
fit.epochs = 2
fit."class_weight".0 = 2.0
[[model]]
use = "Dense"
units = 16
name = '''wide'''
[model.kernel_regularizer]
use = "L2"
l2 = 1e-3
[[model]]
use = "Dropout"
rate = {search = "float", min = 0, max = 0.5, default = 0.25}
[[model]]
use = "Dense"
units = 0xA
name = "\u007a \"quoted\""
[optimizer]
use = "SGD"
nesterov = false
momentum = 0.5
[loss]
use = "SparseCategoricalCrossentropy"
from_logits = true
"""
JSON = r"""{
\t"data": {"use": "digits", "batch_size": 50},
\t"model": [
\t\t{"use": "Dense", "units": 16, "kernel_regularizer": {"use": "L2", "l2": 1e-3},
\t\t "name": "wide"},
\t\t{"use": "Dropout",
\t\t "rate": {"search": "float", "min": 0, "max": 0.5, "default": 0.25}},
\t\t{"use": "Dense", "units": 10, "name": "\u007a \"quoted\""}
\t],
\t"optimizer": {"use": "SGD", "nesterov": false, "momentum": 0.5},
\t"loss": {"use": "SparseCategoricalCrossentropy", "from_logits": true},
\t"metrics": ["accuracy", {"use": "SparseTopKCategoricalAccuracy", "k": 2}],
\t"fit": {"epochs": 2, "class_weight": {"0": 2.0}},
\t"name": "spelt"
}
""".replace(r"\t", "\t")
# Plain words of YAML 1.2 that YAML 1.1 or Python reads as something else.
TEXTS = [
    "no", "yes", "on", "off", "No", "YES", "On", "y", "n", "tRUE", "nULL",
    "2020-01-01", "12:30:00", "1:30", "1_000", "0b11", "0X1F", "1e", "1e+", ".",
    "..", "e5", "-.nan", "+.nan", "inf", "nan", "0o8", "0xg", "1.2.3", "=", "<<",
]  # fmt: skip
SPELLINGS = {"yaml": YAML, "toml": TOML, "json": JSON}


@pytest.fixture
def written(tmp_path):
    def write(text, name="config.yaml"):
        (tmp_path / name).write_bytes(
            text if isinstance(text, bytes) else text.encode()
        )
        return tmp_path / name

    return write


@pytest.mark.parametrize("form", ["toml", "json"])
def test_three_spellings_of_one_config(written, form):
    one = load(written(YAML, "config.yaml"))
    other = load(written(SPELLINGS[form], f"config.{form}"))
    assert other.document.values == one.document.values
    assert other.resolved() == one.resolved()
    assert one.model[0].arguments["kernel_regularizer"].arguments == {"l2": 0.001}
    assert one.model[2].arguments["name"] == 'z "quoted"'


@pytest.mark.parametrize("form", SPELLINGS)
def test_every_key_and_value_has_its_place(written, form):
    """The text at each place is the key, or begins as the value does."""
    document = read(written(SPELLINGS[form], f"config.{form}"))
    lines = SPELLINGS[form].splitlines()
    count = 0

    def rest(place):
        return lines[place[0] - 1][place[1] - 1 :]

    def walk(value, path):
        nonlocal count
        count += 1
        if isinstance(value, dict):
            for key, inner in value.items():
                at = document.keys[*path, key]
                begun = rest(at).lstrip('["').removeprefix("model.")
                assert begun.startswith(key), (path, key)
                walk(inner, (*path, key))
        elif isinstance(value, list):
            for i, inner in enumerate(value):
                walk(inner, (*path, i))
        elif path[-1] == "name" and value.startswith("z"):
            assert rest(document.marks[path]).startswith('"\\u007')
        elif isinstance(value, str):
            assert rest(document.marks[path]).lstrip("\"'").startswith(value)
        elif path != ("model", 2, "units"):
            shown = rest(document.marks[path])
            token = shown.split(",")[0].split("}")[0].strip()
            assert token.lower() in (str(value).lower(), "1e-3"), path

    walk(document.values, ())
    assert count > 35


@pytest.mark.parametrize(
    ("name", "text", "path", "key", "value"),
    [
        ("a.toml", "a.b = 1\na.c = 2\n", "a.c", (2, 3), (2, 7)),
        ("a.toml", "[a]\nx = 1\n[b]\nx = 2\n", "b.x", (4, 1), (4, 5)),
        ("a.toml", "[[a]]\nx = 1\n[[a]]\nx = 2\n", "a.1.x", (4, 1), (4, 5)),
        ("a.toml", "[[a]]\n[[a.b]]\n[[a.b]]\n[[a]]\n[[a.b]]\nx=1", "a.1.b.0.x",
         (6, 1), (6, 3)),
        ("a.toml", "[a.b]\nx = 1\n[a]\ny = 2\n", "a.y", (4, 1), (4, 5)),
        ("a.toml", 'x = """\n]] # "\n"""\ny = [ # [1\n 1,\n 2 ]', "y.1", None, (6, 2)),
        ("a.toml", "x = '''it's'''\ny = ['', 'a\\', 3]", "y.2", None, (2, 16)),
        ("a.toml", 'x = "\\\\"\ny = {"a.b"=1, c = {d = 2}}', "y.c.d", (2, 20), (2, 24)),
        ("a.toml", 'x = """a\\"" """\r\ny = 1', "y", (2, 1), (2, 5)),
        ("a.json", '{"a\\"b": 1, "c": ["\\\\", 2]}', "c.1", None, (1, 25)),
        ("a.toml", "\"\\u0061\\t'\" = {'b\"' = 1}", "a\t'.b\"", (1, 16), (1, 23)),
        ("a.json", '{"\\u0061\\"": {"b": 1}}', 'a".b', (1, 15), (1, 20)),
        ("a.json", '{"a"\n:\n{"a":3}}', "a.a", (3, 2), (3, 6)),
        ("a.json", '{"": {"#": [{}, [], "x"]}}', ".#.2", None, (1, 21)),
    ],
)  # fmt: skip
def test_places_in_odd_but_good_texts(written, name, text, path, key, value):
    document = read(written(text, name))
    path = tuple(int(s) if s.isdigit() else s for s in path.split("."))
    assert document.keys.get(path) == key
    assert document.marks[path] == value


def test_windows_paths_in_json(written):
    path = written(
        '{"data": {"use": "npz", "path": "C:\\\\users\\\\me.npz"}}', "a.json"
    )
    assert read(path).values["data"]["path"] == "C:\\users\\me.npz"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 1e5),
        ("1.", 1.0),
        (".5", 0.5),
        ("-.5e+1", -5.0),
        ("12", 12),
        ("+12", 12),
        ("-0", 0),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("+.Inf", math.inf),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("Null", None),
        ("~", None),
        ("", None),
    ]
    + [
        (text, text.strip("'\""))
        for text in [*TEXTS, "'1'", '"1e-3"', "'true'", "'null'", "''", "'~'"]
    ],
)
def test_yaml_scalar(written, text, value):
    found = read(written(f"a: {text}\n")).values["a"]
    assert (type(found), found) == (type(value), value)


def test_yaml_nan(written):
    assert math.isnan(read(written("a: .NaN\n")).values["a"])


def test_aliases_and_block_texts(written):
    text = "a: &x {b: [1]}\nc: *x\nd: |\n  one\n  two\ne: >-\n  one\n  two\n"
    document = read(written(text))
    assert document.values == {
        "a": {"b": [1]}, "c": {"b": [1]}, "d": "one\ntwo\n", "e": "one two"
    }  # fmt: skip
    assert document.marks["d",] == (3, 4)


def test_byte_order_mark_and_windows_line_ends(written):
    path = written(b"\xef\xbb\xbfa: 1\r\nb: [2,\r\n 3]\r\n")
    document = read(path)
    assert document.values == {"a": 1, "b": [2, 3]}
    assert document.marks["b", 1] == (3, 2)


def test_whole_numbers_are_keys(written):
    assert read(written("a: {0: x, 1: y}\n")).values == {"a": {"0": "x", "1": "y"}}


@pytest.mark.parametrize("form", ["yml", "YAML", "Json"])
def test_suffixes(written, form):
    assert read(written('{"a": 1}', f"config.{form}")).values == {"a": 1}


def test_limits_are_those_that_are_told(written):
    deep = "a: " + "[" * 39 + "1" + "]" * 39
    assert read(written(deep)).values
    for name, text in {"a.json": '{"a": %s}', "a.toml": "a = %s"}.items():
        text = text % deep.removeprefix("a: ")
        load_error = _problems(written(text, name))
        assert not any("deeper" in problem.message for problem in load_error)
        load_error = _problems(written(text.replace("1", "[1]"), name))
        assert any("deeper" in problem.message for problem in load_error)
    full = "a: 1 #".ljust(256 * 1024, "x")
    assert read(written(full)).values == {"a": 1}


def _problems(path):
    from keras_dlparts.config.errors import ConfigError

    with pytest.raises(ConfigError) as error:
        load(path)
    return error.value.problems
