"""Bad configs: files that cannot be read, and texts that are no plain data."""

import os
import sys

import pytest

DEEP = "[" * 60 + "]" * 60
BOMB = "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

YAML = {
    "empty": ({"": "Received: an empty file"}, ""),
    "comments only": ({"": "Received: an empty file"}, "# nothing\n# here\n"),
    "a list": ({"1:1": "a config is a mapping, of `model:` and"}, "- model\n- data\n"),
    "text": ({"1:1": "a config is a mapping, of `model:` and more"}, "hello\n"),
    "duplicate keys": (
        {
            "3:1  data": "duplicate key 'data', first given in line 1",
            "4:18  fit.epochs": "duplicate key 'epochs', first given in line 4",
        },
        "data: digits\nmodel: [Flatten]\ndata: npz\nfit: {epochs: 1, epochs: 2}\n",
    ),
    "a Python tag": (
        {"1:8  model": "tags such as '!!python/object/apply:os.system' are refused"},
        "model: !!python/object/apply:os.system ['echo']\n",
    ),
    "tags of other programs": (
        {
            "1:7  data": "tags such as '!include' are refused: a config names regi",
            "2:9  model[0]": "'!Dense'",
            "3:7  seed": "'!!float'",
            "4:8  loss": "'!!binary'",
        },
        "data: !include a.yaml\nmodel: [!Dense {units: 3}]\nseed: !!float x\n"
        "loss:  !!binary bXNl\n",
    ),
    "an alias bomb": (
        {"1:8": "more than 50000 values once aliases are expanded"},
        "a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]\n" + BOMB,
    ),
    "an alias to itself": ({"1:8": "nested deeper than 40"}, "model: &m\n  - *m\n"),
    "an unknown alias": ({"1:9": "undefined alias 'here'"}, "model: [*here]\n"),
    "a merge key": (
        {"1:8  data.<<": "write the keys out; `<<` is not YAML 1.2"},
        "data: {<<: {use: digits}}\n",
    ),
    "keys that are no text": (
        {
            "1:1  2.5": "a key must be text; put it in quotes",
            "2:1  true": "a key must be text",
            "3:1  null": "a key must be text",
            "4:3  ?": "a key must be text",
        },
        "2.5: a\ntrue: b\nnull: c\n? [x, y]\n: d\n",
    ),
    "two documents": (
        {"2:1": "keep one config a file, without `---`"},
        "model: [Flatten]\n---\nmodel: [Flatten]\n",
    ),
    "tabs": ({"2:1": "indent with spaces, not with tabs"}, "model:\n\t- Flatten\n"),
    "an open bracket": (
        {"3:5": "(it begins in line 2); is a bracket or a comma missing before"},
        "data: digits\nmodel: [Flatten\nloss: mse\n",
    ),
    "an open quote": (
        {"4:1": "(it begins in line 2); is a quote not closed?"},
        "data: digits\nmodel: ['Flatten]\nloss: mse\n",
    ),
    "uneven columns": (
        {"2:7": "below the first letter of the key before it"},
        "data: digits\n model: [Flatten]\n",
    ),
    "less indented": (
        {"4:3": "do all keys of this mapping start in one column?"},
        "fit:\n    epochs: 3\n# and\n  validation_freq: 3\n",
    ),
    "no space after the colon": (
        {"2:6": "a key stands as `key: value`, with a space"},
        "data:digits\nmodel: [Flatten]\n",
    ),
    "a control character": ({"1:12": "unacceptable character"}, "model: [Fla\x07]\n"),
    "deep": ({"1:48": "nested deeper than 40 levels"}, f"model: {DEEP}\n"),
    "very deep": (
        {"": "nested deeper than 40 levels"},
        "model: " + "[" * 3000 + "]" * 3000 + "\n",
    ),
    "a number of many digits": (
        {"2:7": "a number has less than 1000 digits"},
        "model: [Flatten]\nseed: " + "9" * 5000 + "\n",
    ),
    "not UTF-8": (
        {"2:1": "not text in UTF-8; is this the right file?"},
        "model: [Flatten]\nname: café\n".encode("latin-1"),
    ),
    "binary": ({"": "holds zero bytes"}, bytes(100)),
}
TOML = {
    "empty": ({"": "Received: an empty file"}, ""),
    "a duplicate key": (
        {"2:9": "Cannot overwrite a value; the key was given before"},
        "seed = 1\nseed = 2\n",
    ),
    "a duplicate table": (
        {"3:5": "Cannot declare ('fit',) twice"},
        "[fit]\nepochs = 1\n[fit]\nepochs = 2\n",
    ),
    "an open bracket": ({"2:1": "Unclosed array"}, "model = ['Flatten'\n"),
    "an open quote": ({"1:12": "is a quote not closed?"}, 'data = "dig\n'),
    "another open quote": ({"2:1": "is a quote not closed?"}, "data = 'dig\n"),
    "text without quotes": (
        {"1:8": "Invalid value; text stands in quotes; true and false in small"},
        "data = digits\n",
    ),
    "YAML": ({"1:5": "Expected '=' after a key"}, "data: 'digits'\n"),
    "dates": (
        {
            "1:8  seed": "a config holds numbers, text, true, false, lists and",
            "3:10  fit.epochs": "Received: 12:00:00 (time)",
        },
        "seed = 2020-01-01\n[fit]\nepochs = 12:00:00\n",
    ),
    "no date": ({"1:8": "Invalid date"}, "seed = 2020-02-30\n"),
    "deep": ({"1:49  model[0][0]": "nested deeper than 40"}, f"model = {DEEP}\n"),
    "deep dots": (
        {"1:81  a.a.a": "nested deeper than 40"},
        ".".join("a" * 60) + "=1\n",
    ),
    "deeper than the walk for places": (
        {"1:49  model[0][0]": "nested deeper than 40 levels"},
        "model = " + "[" * 400 + "]" * 400 + "\n",
    ),
    "very deep": (
        {"": "nested deeper than 40 levels"},
        "model = " + "[" * 5000 + "]" * 5000 + "\n",
    ),
    "a number of many digits": ({"1:8": "less than 1000"}, f"seed = {'9' * 5000}\n"),
    "not finite": (
        {
            "2:8  model[0].rate": "a finite number is expected. Received: nan",
            "5:8  model[1].rate": "a finite number is expected. Received: -inf",
            "7:1  lost": "unknown key 'lost'",
        },
        "[[model]]\nrate = nan\nuse = 'Dropout'\n"
        "[[model]]\nrate = -inf\nuse = 'Dropout'\n[lost]\n",
    ),
}
JSON = {
    "empty": ({"": "Received: an empty file"}, " \n"),
    "a list": ({"1:1": "a config is a mapping"}, "[1]\n"),
    "duplicate keys": (
        {
            "3:2  data": "duplicate key 'data', first given in line 1",
            "4:23  fit.epochs": "duplicate key 'epochs', first given in line 4",
        },
        '{"data": "digits",\n "model": ["Flatten"],\n "data": "npz",\n'
        ' "fit": {"epochs": 1, "\\u0065pochs": 2}}\n',
    ),
    "an open bracket": (
        {"2:23": "is a comma or a closing bracket missing"},
        '{"data": "digits",\n "model": ["Flatten"  }',
    ),
    "an open quote": ({"1:13": "is a quote not closed?"}, '{"data":"dig\n"}'),
    "a last comma": (
        # From Python 3.13 on, its parser points to the comma itself.
        {f"1:{21 + (sys.version_info < (3, 13))}": "nothing follows a last comma"},
        '{"model": ["Flatten",]}',
    ),
    "a comment": ({"1:1": "JSON has no comments"}, '// mine\n{"data": "digits"}'),
    "single quotes": ({"1:2": "keys stand in double quotes"}, "{'data': 'digits'}"),
    "True": ({"1:19": "false and null in small letters"}, '{"deterministic": True}'),
    "NaN": ({"2:10  seed": "Received: nan"}, '{"model": ["Flatten"],\n "seed": NaN}'),
    "NaN, of a part": (
        {"2:40  data.samples": "Received: nan"},
        '{"model": ["Flatten"],\n "data": {"use": "spirals", "samples": NaN}}',
    ),
    "deep": ({"1:51  model[0][0]": "nested deeper"}, f'{{"model": {DEEP}}}'),
    "very deep": (
        {"": "nested deeper than 40 levels"},
        '{"model": ' + "[" * 50000 + "]" * 50000 + "}",
    ),
    "a number of many digits": ({"1:10": "less than"}, f'{{"seed": {"9" * 5000}}}'),
}
BAD = {
    f"{form}, {name}": (*case, f"config.{form}")
    for form, cases in {"yaml": YAML, "toml": TOML, "json": JSON}.items()
    for name, case in cases.items()
}


@pytest.mark.long
@pytest.mark.parametrize("case", BAD)
def test_is_refused(assert_told, case):
    assert_told(*BAD[case])


def test_a_file_of_100_mb_is_not_read(assert_told, tmp_path):
    with open(tmp_path / "config.yaml", "wb") as file:
        file.truncate(100 * 2**20)  # sparse
    assert_told({"": "a config has at most 256 KiB; this has more"}, None)


def test_a_folder(assert_told, tmp_path):
    (tmp_path / "config.yaml").mkdir()
    assert_told({"": "this is a folder; a config is a file"}, None)


def test_a_missing_file(assert_told):
    assert_told({"": "cannot be read: No such file or directory"}, None)


def test_a_link_to_itself(assert_told, tmp_path):
    (tmp_path / "config.yaml").symlink_to("config.yaml")
    assert_told({"": "cannot be read: Too many levels of symbolic links"}, None)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_no_permission(assert_told, tmp_path):
    (tmp_path / "config.yaml").write_text("model: [Flatten]\n")
    (tmp_path / "config.yaml").chmod(0)
    assert_told({"": "cannot be read: Permission denied"}, None)


@pytest.mark.parametrize("name", ["config.txt", "config", "config.py"])
def test_another_suffix(assert_told, name):
    phrase = "a config ends in .yaml, .yml, .toml or .json"
    assert_told({"": phrase}, "model: [Flatten]\n", name)
