"""A name -> a part: real metadata folders on the path, nothing stood in for."""

import re
import subprocess
import sys

import pytest

from keras_dlparts import registry, static
from keras_dlparts.registry import RegistryError, find


def clear():
    for cached in (registry._entries, registry._keras, static._spec, static._tree):
        cached.cache_clear()


@pytest.fixture(autouse=True)
def _fresh():
    yield
    clear()


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a distribution's metadata, and modules if any, on the path."""

    def put(name, entries, version="1.0", modules=None, folder="site"):
        site = tmp_path / folder
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        info.joinpath("METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        info.joinpath("entry_points.txt").write_text(entries)
        for module, text in (modules or {}).items():
            site.joinpath(f"{module}.py").write_text(text)
        if str(site) not in sys.path:
            monkeypatch.syspath_prepend(str(site))
        clear()
        return info

    return put


def layers(*lines):
    return "\n".join(["[keras_dlparts.layers]", *lines, ""])


@pytest.mark.parametrize(
    ("kind", "name", "meant"),
    [
        ("layers", "RandomDropout", "dlparts.RandomDropout"),
        ("layers", "dlparts.RandomDropout", "dlparts.RandomDropout"),
        ("layers", "Dense", "keras.Dense"),
        ("layers", "keras.Dense", "keras.Dense"),
        ("data", "digits", "dlparts.digits"),
        ("optimizers", "adam", "keras.Adam"),
        ("optimizers", "Adam", "keras.Adam"),
        ("optimizers", "keras.Adam", "keras.Adam"),
        ("initializers", "he_normal", "keras.HeNormal"),
        ("losses", "mse", "keras.MeanSquaredError"),
        ("metrics", "mse", "keras.MeanSquaredError"),
        ("losses", "mean_squared_error", "keras.MeanSquaredError"),
        ("regularizers", "l2", "keras.L2"),
        ("schedules", "CosineDecay", "keras.CosineDecay"),
        ("constraints", "non_neg", "keras.NonNeg"),
        ("callbacks", "EarlyStopping", "keras.EarlyStopping"),
    ],
)
def test_a_name_means_one_part(kind, name, meant):
    part = find(kind, name)
    assert (part.kind, part.name) == (kind, meant)
    assert part.load().__name__.lower() == part.short_name.lower()


def test_a_part_says_who_provides_it():
    part = find("layers", "RandomDropout")
    assert (part.vendor, part.short_name) == ("dlparts", "RandomDropout")
    assert part.distribution.startswith("keras-dlparts ")
    assert find("layers", "Dense").distribution.startswith("keras 3.")


def test_every_name_of_keras_loads():
    for kind in registry.KINDS:
        for name in registry.names(kind):
            part = find(kind, name)
            assert part.vendor != "keras" or callable(part.load()), name


@pytest.mark.parametrize(
    ("kind", "name", "message", "matches"),
    [
        ("layers", "RandomDropuot", "unknown layer", ["dlparts.RandomDropout"]),
        ("layers", "densee", "unknown layer", ["keras.Dense"]),
        ("layers", "keras.Densee", "unknown layer", ["keras.Dense"]),
        ("callbacks", "EarlyStoping", "unknown callback", ["keras.EarlyStopping"]),
        ("data", "digist", "unknown data source", ["dlparts.digits"]),
        ("layers", "digits", "unknown layer 'digits'; it is one of the data", []),
        ("layers", "os.system", "an import path is not accepted", []),
        ("layers", "", "unknown layer ''", []),
        ("layer", "Dense", "unknown kind 'layer'. The kinds are", ["layers"]),
        ("layers", 3, "must be text. Received: 3", []),
        ("layers", None, "must be text. Received: None", []),
    ],
)
def test_an_unknown_name(kind, name, message, matches):
    with pytest.raises(RegistryError) as caught:
        find(kind, name)
    assert message in str(caught.value)
    assert set(matches) <= set(caught.value.matches)
    assert len(caught.value.matches) <= 3


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("layers", "Lambda"),
        ("layers", "keras.Lambda"),
        ("layers", "lambda"),
        ("layers", "TFSMLayer"),
        ("layers", "TorchModuleWrapper"),
        ("layers", "JaxLayer"),
        ("layers", "FlaxLayer"),
        ("callbacks", "LambdaCallback"),
        ("callbacks", "lambda_callback"),
        ("callbacks", "LearningRateScheduler"),
        ("metrics", "MeanMetricWrapper"),
    ],
)
def test_what_runs_code_of_a_file_is_no_part(kind, name):
    with pytest.raises(RegistryError):
        find(kind, name)
    assert name not in [part.rpartition(".")[2] for part in registry.names(kind)]


@pytest.mark.parametrize("name", ["Layer", "keras.Layer", "Wrapper", "InputSpec"])
def test_base_classes_are_no_parts(name):
    with pytest.raises(RegistryError, match="unknown layer"):
        find("layers", name)


def test_any_kind():
    kinds = [part.kind for part in registry.find_any("MeanSquaredError")]
    assert kinds == ["losses", "metrics"]
    with pytest.raises(RegistryError, match=r"did you mean 'keras\.Dense'"):
        registry.find_any("Densee")
    with pytest.raises(RegistryError) as caught:
        registry.find_any("SquaredHing")  # a loss and a metric
    assert caught.value.matches.count("keras.SquaredHinge") == 1


def test_a_plugin_is_found_and_loaded(install):
    install("acme-parts", layers("acme.Half = half:Half"), modules={"half": "Half = 5"})
    part = find("layers", "Half")
    assert (part.name, part.distribution) == ("acme.Half", "acme-parts 1.0")
    assert part in registry.parts("layers")
    assert part not in registry.parts("data")
    assert "half" not in sys.modules
    assert part.load() == 5


def test_a_bare_name_of_two_vendors_is_ambiguous(install):
    install("acme-parts", layers("acme.Half = a:A", "rival.Half = b:B"))
    with pytest.raises(RegistryError) as caught:
        find("layers", "Half")
    assert str(caught.value) == "'Half' is ambiguous; say which: acme.Half, rival.Half"
    assert caught.value.matches == ["acme.Half", "rival.Half"]
    assert find("layers", "rival.Half").target == "b:B"


def test_a_bare_name_that_keras_has_too_is_ambiguous(install):
    install("acme-parts", layers("acme.Dense = a:A"))
    with pytest.raises(RegistryError, match=r"acme\.Dense, keras\.Dense"):
        find("layers", "Dense")
    assert find("layers", "keras.Dense").vendor == "keras"
    with pytest.raises(RegistryError, match=r"unknown layer 'ACME\.dense'"):
        find("layers", "ACME.dense")


def test_kinds_keep_names_apart(install):
    entries = layers("acme.Half = a:A") + "[keras_dlparts.data]\nacme.Half = b:B\n"
    install("acme-parts", entries)
    assert find("layers", "Half").target == "a:A"
    assert find("data", "Half").target == "b:B"
    assert [part.kind for part in registry.find_any("Half")] == ["layers", "data"]


def test_two_distributions_that_claim_one_name(install):
    install("acme-parts", layers("acme.Half = a:A", "acme.Other = a:B"))
    install("thief", layers("acme.Half = t:T", "thief.Own = t:O"), version="0.2")
    message = "'acme.Half' is claimed by acme-parts 1.0 and thief 0.2. Uninstall"
    for name in ("acme.Half", "Half"):
        with pytest.raises(RegistryError, match=message):
            find("layers", name)
    assert [p for p in registry.problems() if message in p] == registry.problems()
    names = [part.name for part in registry.parts("layers")]
    assert "acme.Half" not in names
    assert {"acme.Other", "thief.Own", "dlparts.RandomDropout"} <= {*names}


def test_a_distribution_shadowed_on_the_path_claims_nothing(install):
    install("acme-parts", layers("acme.Half = old:A"), folder="later")
    install("Acme.parts", layers("acme.Half = new:A"), "2.0", folder="earlier")
    part = find("layers", "acme.Half")
    assert (part.target, part.distribution) == ("new:A", "Acme.parts 2.0")
    assert registry.problems() == []


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        (layers("Half = a:A"), "entry 'Half' .* must be 'vendor.Name'"),
        (layers("acme. = a:A"), "entry 'acme.' .* must be 'vendor.Name'"),
        (layers(".Half = a:A"), "entry '.Half' .* must be 'vendor.Name'"),
        (layers("keras.Half = a:A"), "with a vendor other than 'keras'"),
        (layers("acme.Half = a"), "lead to 'module:Name'. Received: 'a'"),
        (layers("acme.Half = a:A [extra]"), "lead to 'module:Name'"),
        (layers("acme.Half"), "its entry points cannot be read"),
        (
            "[keras_dlparts.tastes]\nacme.Half = a:A\n",
            "entry 'acme.Half' of 'keras_dlparts.tastes' is of no kind 'tastes'",
        ),
        ("[keras_dlparts]\nacme.Half = a:A\n", "no kind ''"),
    ],
)
def test_an_entry_that_is_malformed_is_told_and_left_out(install, entries, told):
    install("acme-parts", entries)
    install("fine", layers("fine.Half = f:F"), folder="other")
    (problem,) = registry.problems()
    assert problem.startswith("acme-parts 1.0: ")
    assert re.search(told, problem)
    assert find("layers", "Half").name == "fine.Half"


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        (layers("Thing = a:A"), "entry 'Thing' .* must be 'vendor.Name'"),
        (layers("acme.Thing = a"), "entry 'acme.Thing' .* lead to 'module:Name'"),
        (
            "[keras_dlparts.layerz]\nacme.Thing = a:A\n",
            "of 'keras_dlparts.layerz' is of no kind 'layerz'. The kinds are: layers",
        ),
    ],
)
@pytest.mark.parametrize("name", ["Thing", "acme.Thing"])
def test_who_looks_for_an_entry_that_is_left_out_is_told(install, entries, told, name):
    install("acme-parts", entries)
    told = f"; it is installed and does not count: acme-parts 1.0: .*{told}"
    for look in (lambda: find("layers", name), lambda: registry.find_any(name)):
        with pytest.raises(RegistryError, match=told) as caught:
            look()
        assert caught.value.matches == []
    with pytest.raises(RegistryError, match="unknown part 'Nothing'   "):
        registry.find_any("Nothing")


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("import no_such_module_here", "No module named 'no_such_module_here'"),
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("class Half(:", "SyntaxError"),
        ("Other = 1", "has no attribute 'Half'"),
        ("import sys; sys.absent", "module 'sys' has no attribute 'absent'"),
    ],
)
def test_a_plugin_that_fails_to_import_breaks_only_itself(install, module, told):
    entries = layers("acme.Half = broken_half:Half", "acme.Fine = fine_half:Fine")
    modules = {"broken_half": module, "fine_half": "Fine = 1"}
    install("acme-parts", entries, modules=modules)
    sys.modules.pop("broken_half", None)
    part = find("layers", "acme.Half")
    with pytest.raises(RegistryError) as caught:
        part.load()
    text = str(caught.value)
    assert text.startswith(
        "acme.Half is provided by acme-parts 1.0, which fails to import"
    )
    assert told in text
    mend = text.splitlines()[-1]
    assert mend.startswith("Likely mend: ")
    assert ("install what has the module" in mend) == ("no_such" in module)
    assert find("layers", "acme.Fine").load() == 1
    assert find("layers", "RandomDropout").load().__name__ == "RandomDropout"
    assert registry.problems() == []


def test_metadata_is_read_once(install):
    info = install("acme-parts", layers("acme.Half = a:A"))
    assert find("layers", "acme.Half")
    for path in info.iterdir():
        path.unlink()
    info.rmdir()
    assert find("layers", "Half").name == "acme.Half"
    clear()
    with pytest.raises(RegistryError):
        find("layers", "Half")


def test_a_ruin_among_the_distributions_harms_nothing(install, tmp_path):
    install("acme-parts", layers("acme.Half = a:A"))
    (tmp_path / "site" / "~ruin-1.0.dist-info").mkdir()
    info = install("unrelated", "no section, no equals sign\n")
    info.joinpath("METADATA").unlink()
    assert find("layers", "Half").name == "acme.Half"
    assert registry.problems() == []


LOOK = """
import sys
from keras_dlparts import registry
assert not registry._entries.cache_info().currsize, "read at the import"
for kind, name in (("layers", "Dense"), ("optimizers", "adam"), ("data", "digits")):
    registry.find(kind, name)
registry.parts(), registry.problems(), registry.find_any("mse")
heavy = {"keras", "tensorflow", "jax", "torch", "numpy", "pydantic", "typer"}
print(sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
"""


def test_looking_a_part_up_imports_nothing():
    out = subprocess.run(
        [sys.executable, "-c", LOOK], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"
