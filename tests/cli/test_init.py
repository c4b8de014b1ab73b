"""What `dlparts init` writes works as it is, and nothing is written over."""

import csv
import io
import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from keras_dlparts import Run, cli
from keras_dlparts.config import load
from keras_dlparts.config.read import read

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "plugin"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.long
def test_the_config_trains_well(dlparts, here):
    code, out, _ = dlparts("init")
    assert (code, out) == (
        0,
        "wrote   config.yaml\nnext    dlparts train config.yaml\n",
    )
    code, out, err = dlparts("train", "config.yaml", width=400)
    assert code == 0, err
    run = Path(out.split()[1])
    assert Run(run).history["val_accuracy"][-1] > 0.9


@pytest.mark.long
def test_an_editor_finds_the_schema(dlparts, here):
    dlparts("init", "sub/first.yml")
    first = Path("sub/first.yml").read_text().partition("\n")[0]
    name = first.removeprefix("# yaml-language-server: $schema=")
    assert "model" in json.loads(Path("sub", name).read_text())["properties"]
    # Every comment and every line fits a narrow window.
    assert max(map(len, Path("sub/first.yml").read_text().splitlines())) <= 88


TABLES = {
    "classes": ("a,b,kind\n" + "1.5,2,0\n3,4,1\n5,0,2\n" * 9, 3, "Sparse"),
    "words": ("a,b,is it\n" + "1.5,red,no\n3,blue,yes\n5,red,no\n" * 9, 2, "Sparse"),
    "numbers": ("a,b,price\n" + "1.5,2,7.5\n3,4,1.25\n" * 9, 1, "MeanSquared"),
    "counts": ("a,b,n\n" + "1.5,2,700\n3,4,1250\n" * 9, 1, "MeanSquared"),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_ones_own(dlparts, here, name):
    text, outputs, loss = TABLES[name]
    Path("my table.csv").write_text(text)
    code, _, err = dlparts("init", "sub/own.yaml", "--csv", "my table.csv", width=400)
    assert code == 0, err
    values = read(Path("sub/own.yaml")).values
    assert values["data"]["path"] == "../my table.csv"
    assert values["data"]["target"] == text.partition("\n")[0].rpartition(",")[2]
    assert values["model"][-1]["units"] == outputs
    assert load(Path("sub/own.yaml")).loss.part.short_name.startswith(loss)
    code, _, err = dlparts("check", "sub/own.yaml", width=400)
    assert code == 0, err


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_a_table_as_spreadsheets_export_it_elsewhere(dlparts, here, delimiter):
    text = "length;width;kind\n" + "1.5;2;0\n3;4;1\n" * 9
    Path("t.csv").write_text("\ufeff" + text.replace(";", delimiter), "utf-8")
    code, _, err = dlparts("init", "--csv", "t.csv")
    assert code == 0, err
    values = read(Path("config.yaml")).values
    assert values["data"]["delimiter"] == delimiter
    assert (values["data"]["target"], values["model"][-1]["units"]) == ("kind", 2)
    code, _, err = dlparts("check", "config.yaml", width=400)
    assert code == 0, err


NAMES = ["null", "a: b", "1.5", "no", "é", 'a "b"', ".inf", "0", "2019", "-1", "1e5"]


@pytest.mark.parametrize("name", NAMES)
def test_a_column_may_have_any_name(dlparts, here, name):
    text = io.StringIO()
    csv.writer(text).writerows([["x", name], *[[1.5, 2.5], [3, 4]] * 3])
    Path("t.csv").write_text(text.getvalue())
    code, _, err = dlparts("init", "--csv", "t.csv")
    assert code == 0, err
    assert read(Path("config.yaml")).values["data"]["target"] == name


def test_columns_named_by_digits_are_names(dlparts, here):
    Path("t.csv").write_text("1,2,0\n" + "1.5,red,no\n3,blue,yes\n" * 9)
    code, _, err = dlparts("init", "--csv", "t.csv")
    assert code == 0, err
    data = read(Path("config.yaml")).values["data"]
    assert (data["target"], data["one_hot"]) == ("0", ["2"])
    assert load(Path("config.yaml")).data.arguments["target"] == "0"


@pytest.mark.parametrize("first", ["1.5,2,0", "1,1,0"])
def test_a_table_without_names_goes_by_positions(dlparts, here, first):
    Path("t.csv").write_text(f"{first}\n" + "3,4,1\n1.5,0,2\n" * 9)
    code, _, err = dlparts("init", "--csv", "t.csv")
    assert code == 0, err
    assert "# 19 rows of a table" in Path("config.yaml").read_text()
    values = read(Path("config.yaml")).values
    assert (values["data"]["target"], values["data"]["header"]) == (2, False)
    assert values["model"][-1]["units"] == 3
    code, _, err = dlparts("check", "config.yaml", width=400)
    assert code == 0, err


def test_what_comes_next_can_be_pasted(dlparts, here):
    code, out, _ = dlparts("init", "my folder/my first.yaml", width=400)
    assert code == 0
    assert out.splitlines()[1] == "next    dlparts train 'my folder/my first.yaml'"


def test_the_schema_goes_into_a_new_folder(dlparts, here):
    code, _, err = dlparts("schema", "of/mine/schema.json")
    assert code == 0, err
    assert "properties" in json.loads(Path("of/mine/schema.json").read_text())


def test_the_target_may_be_another_column(dlparts, here):
    Path("t.csv").write_text("kind,a,b\n" + "0,1.5,2\n1,3,4.5\n" * 9)
    code, _, _ = dlparts("init", "--csv", "t.csv", "--target", "kind")
    assert code == 0
    values = read(Path("config.yaml")).values
    assert (values["data"]["target"], values["model"][-1]["units"]) == ("kind", 2)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["there.yaml"], "there.yaml is there already"),
        (["--plugin", "there"], "there-parts is there already"),
        (["a.toml"], "is a .yaml file. Received: a.toml"),
        (["--csv", "none.csv"], "No such file or directory: 'none.csv'"),
        (["--csv", "t.csv", "--target", "c"], "has the columns a, b. Received: c"),
        (["--csv", "short.csv"], "needs a line of names and some rows. Received: 1"),
        (["--csv", "latin.csv"], "latin.csv is no text in UTF-8"),
        (["--target", "a"], "--target names a column of the table that --csv names"),
        (["--plugin", "acme", "--csv", "t.csv"], "--csv and --target are for a config"),
        (["--plugin", "Acme"], "a lower-case word"),
        (["--plugin", "class"], "a lower-case word"),
        (["--plugin", "keras"], "a vendor other than keras and dlparts"),
    ],
)
def test_what_is_refused_writes_nothing(dlparts, here, arguments, told):
    Path("there.yaml").write_text("mine")
    Path("there-parts").mkdir()
    Path("t.csv").write_text("a,b\n1,2\n3,4\n")
    Path("short.csv").write_text("a,b\n")
    Path("latin.csv").write_bytes("a,b\n1,\xe9\n".encode("latin-1"))
    before = sorted(here.rglob("*"))
    code, out, err = dlparts("init", *arguments, width=400)
    assert (code, out) == (2, "")
    assert told in err
    assert sorted(here.rglob("*")) == before
    assert Path("there.yaml").read_text() == "mine"


def test_the_plugin_is_the_example_under_another_name(dlparts, here):
    code, out, _ = dlparts("init", "--plugin", "zeta")
    assert code == 0
    assert "next    dlparts verify zeta.GatedMLP\n" in out
    sources = {p for p in EXAMPLE.rglob("*.*") if "__pycache__" not in p.parts}
    made = set(Path("zeta-parts").rglob("*.*"))
    expected = {str(p.relative_to(EXAMPLE)).replace("acme", "zeta") for p in sources}
    assert {str(p.relative_to("zeta-parts")) for p in made} == expected
    assert not [p for p in made if "acme" in p.read_text()]
    text = Path("zeta-parts/pyproject.toml").read_text()
    assert '"zeta.GatedMLP" = "zeta_parts:GatedMLP"' in text


@pytest.mark.study
def test_the_plugin_installs_verifies_trains_and_passes_its_tests(here):
    """With the wheel of this distribution too, which must contain the template."""
    venv.create("env")
    python = here / "env/bin/python"
    # What else is installed here is there too; not this distribution in editable form.
    (site,) = here.glob("env/lib/python*/site-packages")
    others = [path for path in sys.path if path.endswith("site-packages")]
    (site / "others.pth").write_text("\n".join(others))

    def call(*command):
        done = subprocess.run(
            [*map(str, command)], capture_output=True, text=True, cwd=here
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python"]
    offline = ["--no-deps", "--no-index", "--quiet"]
    here_built = [*offline, "--no-build-isolation"]
    # A copy, since a build leaves files in its source.
    for name in ("keras_dlparts", "examples/plugin"):
        shutil.copytree(ROOT / name, here / "source" / name, symlinks=True)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, here / "source")
    call(*pip, sys.executable, "wheel", *here_built, "-w", here, here / "source")
    # What is there by way of the path file would count as installed.
    wheel = [*here.glob("keras_dlparts-*.whl")]
    call(*pip, python, "install", *offline, "--ignore-installed", *wheel)
    dlparts = [python, "-m", "keras_dlparts"]
    call(*dlparts, "init", "--plugin", "zeta")
    call(*pip, python, "install", *here_built, "--editable", "zeta-parts")
    assert "fails" not in call(*dlparts, "verify", "zeta.GatedMLP")
    call(*dlparts, "train", "zeta-parts/gated.yaml")
    assert " passed" in call(python, "-m", "pytest", "-q", "zeta-parts")
    where = call(python, "-c", "import keras_dlparts; print(keras_dlparts.__file__)")
    assert where.startswith(str(site))


# What bash, zsh and fish ask, by the variables that the installed scripts set.
def asked(monkeypatch, capfd, shell, line):
    monkeypatch.setenv("_DLPARTS_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    monkeypatch.setattr(sys, "argv", ["dlparts"])
    capfd.readouterr()
    with pytest.raises(SystemExit):
        cli.main()
    return capfd.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("line", "some", "no"),
    [
        ("dlparts ev", "evaluate", "train"),
        ("dlparts show RandomDr", "RandomDropout", "RandomFlip"),
        ("dlparts show Den", "Dense", "Dropout"),
        ("dlparts show dlparts.RandomD", "dlparts.RandomDropout", "keras"),
        ("dlparts verify May", "", "Maxout"),
        ("dlparts verify dlparts.Max", "dlparts.Maxout", "MaxPooling"),
        ("dlparts verify Max", "Maxout", "MaxPooling"),
        ("dlparts list l", "layers", "models"),
        ("dlparts evaluate ru", "runs/one", "runs/two"),
        ("dlparts report runs/", "runs/one", "runs/two"),
    ],
)
def test_a_shell_completes(monkeypatch, capfd, here, shell, line, some, no):
    Path("runs/one").mkdir(parents=True)
    Path("runs/one/status.json").write_text("{}")
    Path("runs/two").mkdir()
    told = asked(monkeypatch, capfd, shell, line)
    assert some in told
    assert no not in told


@pytest.mark.slow
def test_the_script_that_is_installed_completes_in_a_shell(here):
    script = Path(sys.executable).with_name("dlparts")
    code = f"""
PATH={script.parent}:$PATH
eval "$(_DLPARTS_COMPLETE=source_bash dlparts)"
COMP_WORDS=(dlparts show RandomDr) COMP_CWORD=2
_dlparts_completion dlparts
echo "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True)
    assert done.stdout == "RandomDropout\n", done.stderr


def test_versions(dlparts):
    import keras

    import keras_dlparts

    code, out, _ = dlparts("--version")
    assert code == 0
    assert out.startswith(f"dlparts {keras_dlparts.__version__}\n")
    assert f"keras {keras.__version__}" in out
