"""What source says of itself is read without importing anything."""

import ast
import subprocess
import sys
import textwrap

import pytest

from keras_dlparts import registry, static


@pytest.fixture(autouse=True)
def _fresh():
    yield
    static._spec.cache_clear()
    static._tree.cache_clear()


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write modules; none may be imported, so each ends the process if it is."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(modules):
        for name, text in modules.items():
            path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text) + "\nraise SystemExit('imported')\n")
        return tmp_path

    yield put
    stray = {path.stem for path in tmp_path.rglob("*.py")} & {*sys.modules}
    assert not stray


def arguments(target):
    return dict(static.describe(target).arguments)


def test_a_part_of_ours():
    about = static.describe("keras_dlparts.layers:RandomDropout")
    assert about.doc.startswith("Dropout whose rate is itself random")
    assert about.module_doc.startswith("Random dropout:")
    assert "arXiv:1506.08700" in about.module_doc
    assert about.arguments == (
        ("rate", None),
        ("per", "'sample'"),
        ("noise_shape", "None"),
        ("seed", "None"),
    )
    assert about.path.endswith("random_dropout.py")


def test_summaries_are_the_first_lines():
    for part in registry.parts():
        whole = static.describe(part.target).doc.partition("\n")[0]
        assert static.summary(part.target) == whole, part.name


def test_a_source_takes_the_arguments_of_its_base():
    assert arguments("keras_dlparts.data:Spirals") == {
        "classes": "2",
        "turns": "1.5",
        "noise": "0.02",
        "samples": "2000",
        "batch_size": "32",
        "shuffle": "True",
        "validation_split": "0.1",
        "seed": "0",
        "targets": "None",
        "balanced": "False",
        "transform": "None",
        "binarize": "None",
        "validation": "None",
    }


def test_parts_of_keras():
    dense = static.describe("keras.layers:Dense")
    assert dense.arguments[0] == ("units", None)
    assert "name" not in dict(dense.arguments)
    adam = static.describe("keras.optimizers:Adam")
    assert dict(adam.arguments)["learning_rate"] == "0.001"
    assert "{{" not in adam.doc
    assert arguments("keras.layers:Conv2D")["kernel_size"] is None


def test_every_name_of_the_registry_can_be_described():
    unread = []
    for kind in registry.KINDS:
        for name in registry.names(kind):
            try:
                static.describe(registry.find(kind, name).target)
            except LookupError:
                unread.append(name)
    assert unread == []


def test_a_function(write):
    text = 'def net(x, /, depth=3, *rest, width, act="relu", **more):\n    """A net."""'
    write({"plain": text})
    about = static.describe("plain:net")
    assert about.doc == "A net."
    assert about.module_doc == ""
    assert about.arguments == (
        ("x", None),
        ("depth", "3"),
        ("width", None),
        ("act", "'relu'"),
    )


BASE = """
class Base:
    def __init__(self, size, scale=1.0, **kwargs):
        super().__init__(**kwargs)
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("class Part(Base):\n    pass", ["size", "scale"]),
        (
            "class Part(Base):\n"
            "    def __init__(self, own, **kwargs):\n"
            "        super().__init__(**kwargs)",
            ["own", "size", "scale"],
        ),
        (
            "class Part(Base):\n"
            "    def __init__(self, scale, **kwargs):\n"
            "        super().__init__(scale=scale, **kwargs)",
            ["scale", "size"],
        ),
        (
            "class Part(Base):\n"
            "    def __init__(self, own, **kwargs):\n"
            "        super().__init__(3, **kwargs)",
            ["own", "scale"],
        ),
        (
            "class Part(Base):\n"
            "    def __init__(self, own):\n"
            "        super().__init__(3)",
            ["own"],
        ),
        (
            "class Middle(Base):\n    pass\n"
            "class Part(Middle):\n"
            "    def __init__(self, own=1, **kwargs):\n"
            "        super().__init__(**kwargs)",
            ["own", "size", "scale"],
        ),
        ("import keras\nclass Part(keras.layers.Layer, Base):\n    pass", ["size"]),
        ("class Part(Unknown, Base):\n    pass", ["size", "scale"]),
        ("from nowhere import Gone\nclass Part(Gone, Base):\n    pass", ["size"]),
        ("from bad import Gone\nclass Part(Gone, Base):\n    pass", ["size"]),
    ],
)
def test_arguments_that_flow_on_to_a_base(write, text, told):
    folder = write({"inherits": BASE + text})
    (folder / "bad.py").write_text("class (")
    names = [name for name, _ in static.describe("inherits:Part").arguments]
    assert names[: len(told)] == told


def test_what_is_said_of_arguments(write):
    """By the class that takes them, by a base, or by a function."""
    write(
        {
            "said": """
                class Base:
                    '''A base.

                    Args:
                        size: How large.
                        scale: How much,
                            in words.
                    '''
                    def __init__(self, size: int, scale: "float | None" = 1.0):
                        pass
                class Part(Base):
                    '''A part.

                    Args:
                        own: Its own.
                        size: How large it is here.
                    '''
                    def __init__(self, own: list[int], **kwargs):
                        super().__init__(**kwargs)
                def net(depth: int = 3):
                    '''A net.

                    Args:
                        depth: How deep.
                    '''
            """
        }
    )
    part = static.describe("said:Part").parameters
    assert [(one.name, one.annotation, one.owner, one.doc) for one in part] == [
        ("own", "list[int]", "Part", "Its own."),
        ("size", "int", "Base", "How large it is here."),
        ("scale", "'float | None'", "Base", "How much, in words."),
    ]
    assert static.describe("said:net").parameters[0].doc == "How deep."


def test_a_base_in_another_module(write):
    one = """
        '''The formula.'''
        from ..base import Base as Origin
        from . import two
        class Part(Origin):
            '''One.'''
        class Other(two.Base):
            '''Two.'''
    """
    write(
        {
            "pack.__init__": "from .inner.one import Part as Renamed",
            "pack.inner.__init__": "",
            "pack.inner.one": one,
            "pack.inner.two": BASE,
            "pack.base": BASE,
        }
    )
    about = static.describe("pack:Renamed")
    assert (about.doc, about.module_doc) == ("One.", "The formula.")
    assert about.path.endswith("one.py")
    assert [name for name, _ in about.arguments] == ["size", "scale"]
    assert list(arguments("pack.inner.one:Other")) == ["size", "scale"]


def test_the_bases_of_a_class(write):
    """A class may take its name from its base, which leads back to itself."""
    write(
        {
            "there": "import keras as k\nclass Same(k.layers.Layer):\n    pass",
            "again": "from there import Same\nclass Same(Same):\n    pass",
        }
    )
    name = ast.parse("Same", mode="eval").body
    assert static.ancestry(name, "again") == [("there", "Same"), ("there", "Same")]
    names = [found for _, found in static.ancestry(name, "there")]
    assert names[:2] == ["Same", "Layer"]


def test_imported_names(write):
    write({"pack.__init__": "from .a import b as c\nfrom x.y import z\nimport os"})
    assert static.imported_names("pack") == {"c": ("pack.a", "b"), "z": ("x.y", "z")}


@pytest.mark.parametrize(
    ("target", "error", "told"),
    [
        ("here:Missing", LookupError, "'Missing' is not defined in 'here'"),
        ("here:Made", LookupError, "'Made' is not defined in 'here'"),
        ("here:Loop", LookupError, "is not defined in"),
        ("nowhere_at_all:Part", ImportError, "No module named 'nowhere_at_all'"),
        ("here.inner:Part", ImportError, "No module named 'here.inner'"),
        ("space:Part", ImportError, "'space' has no Python source"),
        ("sys:Part", ImportError, "'sys' has no Python source"),
        ("compiled:Part", ImportError, "'compiled' has no Python source"),
        ("wrong:Part", SyntaxError, "wrong.py"),
    ],
)
def test_what_cannot_be_read(write, target, error, told):
    folder = write(
        {
            "here": "Made = type('Made', (), {})\nfrom there import Loop",
            "there": "from here import Loop",
        }
    )
    (folder / "space").mkdir()
    (folder / "compiled.pyc").write_bytes(b"")
    (folder / "wrong.py").write_text("class Part(:")
    with pytest.raises(error) as caught:
        static.describe(target)
    assert told in str(caught.value)


def test_a_distribution_installed_for_editing(tmp_path):
    """Its finder, and no folder of the path, leads to the source."""
    source = tmp_path / "project"
    package = source / "edited_parts"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('class Part:\n    """Is edited."""\n')
    finder = tmp_path / "finder.py"
    finder.write_text(
        "import importlib.util, sys\n"
        "class Finder:\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, path=None, target=None):\n"
        "        if name == 'edited_parts':\n"
        f"            file = {str(package / '__init__.py')!r}\n"
        "            return importlib.util.spec_from_file_location(name, file)\n"
        "sys.meta_path.append(Finder)\n"
        "from keras_dlparts import static\n"
        "print(static.describe('edited_parts:Part').doc, 'edited_parts' in sys.modules)"
    )
    out = subprocess.run(
        [sys.executable, finder], capture_output=True, text=True, check=True
    )
    assert out.stdout.split("\n")[0] == "Is edited. False"


@pytest.mark.long
def test_reading_imports_nothing():
    code = (
        "import sys; from keras_dlparts import registry, static\n"
        "for kind in registry.KINDS:\n"
        "    for name in registry.names(kind):\n"
        "        static.describe(registry.find(kind, name).target)\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in\n"
        "             ('keras', 'tensorflow', 'jax', 'torch', 'numpy')\n"
        "             or m.startswith(('keras_dlparts.layers', 'keras_dlparts.data'))))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"
