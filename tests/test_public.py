"""The public names: quick to import, all there, the same for Python and for editors."""

import ast
import importlib
import importlib.metadata
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import jedi
import pytest

import keras_dlparts
from keras_dlparts import registry, searching, training

LAZY = [keras_dlparts, searching, training]
ROOMS = [
    "analysis",
    "callbacks",
    "data",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "surgery",
]


@pytest.mark.parametrize("package", LAZY, ids=lambda package: package.__name__)
def test_editors_see_what_python_finds(package):
    """What the imports under TYPE_CHECKING give is what a user gets."""
    tree = ast.parse(inspect.getsource(package))
    (branch,) = (node for node in tree.body if isinstance(node, ast.If))
    assert branch.test.id == "TYPE_CHECKING"
    seen = {}
    for statement in branch.body:
        for alias in statement.names:
            home = importlib.import_module(statement.module)
            submodule = f"{statement.module}.{alias.name}"
            seen[alias.asname] = (
                importlib.import_module(submodule)
                if home is package
                else getattr(home, alias.name)
            )
    found = {name: getattr(package, name) for name in package.__all__}
    assert found == seen


def test_dir_shows_what_is_public_and_nothing_else():
    importlib.import_module("keras_dlparts.registry")
    importlib.import_module("keras_dlparts.config.errors")
    assert dir(keras_dlparts) == keras_dlparts.__all__
    assert {"layers", "train", "evaluate", "fold"} <= {*dir(keras_dlparts)}
    assert not {"registry", "config", "lazy", "support"} & {*dir(keras_dlparts)}


def public_packages():
    """Those that a user reaches as `keras_dlparts.NAME`."""
    named = {name: getattr(keras_dlparts, name) for name in keras_dlparts.__all__}
    return {name: v for name, v in named.items() if hasattr(v, "__path__")}


def test_a_public_package_shows_its_public_names_and_no_modules():
    """As a notebook completes them: a module's file is nothing to choose."""
    importlib.import_module("keras_dlparts.analysis.dropping")
    packages = public_packages()
    assert {*ROOMS, "backend", "distribute", "report", "testing"} <= packages.keys()
    for name, package in packages.items():
        offered = jedi.Interpreter("package.", [{"package": package}]).complete()
        listed = {each.name for each in offered if each.name[0] != "_"}
        assert listed == {*dir(package)}, name
        if name != "backend":  # whose names `backend/public.py` lists
            assert {*dir(package)} == {*package.__all__}, name
        assert all(hasattr(package, each) for each in dir(package)), name
    assert "dropping" not in dir(packages["analysis"])


def test_an_editor_completes_names_and_shows_signatures_and_docstrings():
    """From the source alone: `keras_dlparts` is not imported for it."""
    typed = "import keras_dlparts\nkeras_dlparts."
    offered = {each.name for each in jedi.Script(typed).complete()}
    assert {*keras_dlparts.__all__} <= offered
    (train,) = jedi.Script(typed + "train(").get_signatures()
    taken = [*inspect.signature(keras_dlparts.train).parameters]
    assert [parameter.name for parameter in train.params] == taken
    assert inspect.getdoc(keras_dlparts.train) in train.docstring()
    (run,) = jedi.Script(typed + "train('a')").infer()
    assert run.name == "Run"


@pytest.mark.long
@pytest.mark.parametrize(
    "room",
    [
        "models",
        *(
            pytest.param(room, marks=pytest.mark.study)
            for room in ("layers", "optimizers", "callbacks")
        ),
    ],
)
def test_an_editor_shows_the_docstring_of_a_part_where_it_is_called(room):
    package = importlib.import_module(f"keras_dlparts.{room}")
    for name in package.__all__:
        if inspect.ismodule(getattr(package, name)):
            continue  # a module of functions, as `models.circuits`
        typed = f"from keras_dlparts.{room} import {name}\n{name}("
        (called, *_) = jedi.Script(typed).get_signatures()
        part = getattr(package, name)
        assert inspect.getdoc(part) in called.docstring(), name
        function = part.__init__ if inspect.isclass(part) else part
        taken = inspect.signature(function).parameters.values()
        own = {p.name for p in taken if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
        assert own - {"self"} <= {parameter.name for parameter in called.params}, name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'keras_dlparts' has no attribute 'lyr'"):
        _ = keras_dlparts.lyr


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_exports_what_it_imports(room):
    package = importlib.import_module(f"keras_dlparts.{room}")
    tree = ast.parse(inspect.getsource(package))
    imported = [
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert sorted(package.__all__) == sorted(imported)


def test_every_part_of_ours_is_exported():
    for part in registry.parts():
        if part.vendor == "dlparts":
            module, _, name = part.target.partition(":")
            assert name in importlib.import_module(module).__all__, part


@pytest.mark.long
def test_one_import_leads_to_every_room():
    """In a process of its own: here the rooms have been imported already."""
    program = """
import json, sys
import keras_dlparts
heavy = {"keras", "numpy", "rich", "typer", "pydantic", "yaml"} & {*sys.modules}
part = keras_dlparts.layers.RandomDropout(0.5)
print(json.dumps([sorted(heavy), type(part).__module__]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    home = "keras_dlparts.layers.dropout.random_dropout"
    assert json.loads(done.stdout) == [[], home]


@pytest.mark.parametrize("name", ["Run", "Search", "ConfigError", "RegistryError"])
def test_what_reads_folders_needs_no_backend(name):
    program = f"""
import sys
import keras_dlparts
keras_dlparts.{name}
print(sorted({{"keras", "numpy", "keras_tuner", "tensorflow"}} & {{*sys.modules}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_what_is_tested_is_what_is_installed():
    """Not the sources beside the tests, unless these are installed as editable."""
    distribution = importlib.metadata.distribution("keras-dlparts")
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    editable = origin.get("dir_info", {}).get("editable")
    home = Path(__file__).parents[1] if editable else distribution.locate_file("")
    asked = "import keras_dlparts; print(keras_dlparts.__file__)"
    process = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True
    )
    wanted = Path(home, "keras_dlparts", "__init__.py").resolve()
    for found in (keras_dlparts.__file__, process.stdout.strip()):
        assert Path(found).resolve() == wanted


def test_the_readme_has_whole_links_where_it_is_published():
    text = importlib.metadata.metadata("keras-dlparts")["Description"]
    text = text or importlib.metadata.metadata("keras-dlparts").get_payload()
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 20
    assert [link for link in links if not link.startswith("https://")] == []
