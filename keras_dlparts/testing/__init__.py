"""The contract that every part keeps, ours and plugins' alike.

A part says how to build it in its own module, next to the class:

    CASES = {"RandomDropout": ({"arguments": {"rate": 0.5}, "input_shape": (4, 8)},)}

`checks(part)` lists what is asked of the part, `verify(part)` runs it all on
the running backend. The tables below say what is asked of which kind; the
docstring of each check is its rule. `Case` says what a case may hold.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

from keras_dlparts.registry import Part
from keras_dlparts.testing import (
    compilation,
    data,
    exporting,
    general,
    layers,
    processes,
    quantizing,
    replication,
)
from keras_dlparts.testing.cases import Case, ContractError, cases

__all__ = ["Case", "Check", "ContractError", "Result", "checks", "verify"]

# Asked once of a part: what it says about itself.
PART_CHECKS = {
    "layers": (
        general.documents_its_arguments,
        general.shows_an_example,
        general.names_its_shapes,
        general.is_registered_with_keras,
    ),
    "callbacks": (general.documents_its_arguments, general.shows_an_example),
    "models": (general.documents_its_arguments, general.shows_an_example),
    "data": (general.documents_its_arguments, general.shows_an_example),
}
# Asked of every case: what the part does.
CASE_CHECKS = {
    "layers": (
        general.rejects_an_unknown_argument,
        general.revives_from_its_config,
        layers.revived_behaves_the_same,
        general.survives_a_keras_file,
        layers.shapes_agree,
        general.fits,
        layers.works_in_mixed_precision,
        layers.passes_masks,
        layers.seeds_repeat,
        layers.infers_deterministically,
        compilation.compiles_for_a_tpu,
        replication.two_replicas_equal_one_device,
        replication.replicas_draw_differently,
        *quantizing.CHECKS,
        *exporting.CHECKS,
        layers.passes_the_layer_test_of_keras,
    ),
    "callbacks": (
        general.rejects_an_unknown_argument,
        general.fits,
        general.is_traced_once,
        general.offers_figures_rightly,
        compilation.compiles_for_a_tpu,
        replication.two_replicas_equal_one_device,
    ),
    "models": (
        general.rejects_an_unknown_argument,
        general.survives_a_keras_file,
        general.fits,
        compilation.compiles_for_a_tpu,
        replication.two_replicas_equal_one_device,
        replication.replicas_draw_differently,
        *quantizing.CHECKS,
        *exporting.CHECKS,
    ),
    "data": (
        general.rejects_an_unknown_argument,
        data.takes_the_common_arguments,
        data.yields_what_it_declares,
        data.orders_by_seed_and_epoch,
        data.feeds_fit,
    ),
}
# Optimizers, losses, initializers: whatever Keras saves inside a model.
_OTHER_PART_CHECKS = (
    general.documents_its_arguments,
    general.shows_an_example,
    general.is_registered_with_keras,
)
_OTHER_CASE_CHECKS = (
    general.rejects_an_unknown_argument,
    general.revives_from_its_config,
    general.survives_a_keras_file,
    general.fits,
    general.is_traced_once,
    compilation.compiles_for_a_tpu,
    replication.two_replicas_equal_one_device,
)

replication.split_processor()


@dataclass(frozen=True)
class Check:
    """One thing that is asked of a part.

    `run()` raises an error if the part does not keep it. `skip` says why it is not
    asked of this part, and is empty where it is asked.
    """

    of: str
    name: str
    run: Callable[[], None]
    skip: str = ""

    def __str__(self):
        return f"{self.of}: {self.name}"


@dataclass(frozen=True)
class Result:
    """How one check went; `ok` is None where it was skipped."""

    check: str
    ok: bool | None
    message: str = ""


def _check(function, of, case, skip=""):
    name = function.__name__.replace("_", " ")
    return Check(str(of), name, functools.partial(function, case), skip)


def checks(part: Part) -> list[Check]:
    """Everything asked of a part, as a list of `Check`.

    Args:
        part: A `registry.Part`, as `registry.find` and `registry.parts` give it.

    Example:

    >>> from keras_dlparts import registry
    >>> names = [c.name for c in checks(registry.find("layers", "RandomDropout"))]
    >>> names[0], names[-1]
    ('documents its arguments', 'passes the layer test of keras')
    """
    try:
        found = cases(part)
    except Exception as error:
        return [_check(general.has_cases, part.name, error)]
    asked = PART_CHECKS.get(part.kind, _OTHER_PART_CHECKS)
    about = [_check(function, part.name, found[0]) for function in asked]
    asked = CASE_CHECKS.get(part.kind, _OTHER_CASE_CHECKS)
    return about + [
        _check(function, case, case, case.skip or _unasked(function))
        for case in found
        for function in asked
    ]


def _unasked(function):
    """Why a check is not asked of any part here, "" if it is."""
    return getattr(function, "unasked", str)()


def verify(part: Part) -> list[Result]:
    """Run all that is asked of a part on the running backend.

    Returns a list of `Result`s; a check that fails does not stop the others. It
    takes a new process too, in which what was saved must load.

    Args:
        part: A `registry.Part`.

    Example:

    >>> from keras_dlparts import registry
    >>> [result for result in verify(registry.find("data", "parity")) if not result.ok]
    []
    """
    results = []
    for check in checks(part):
        if check.skip:
            results.append(Result(str(check), None, check.skip))
            continue
        try:
            check.run()
            results.append(Result(str(check), True))
        except Exception as error:
            results.append(Result(str(check), False, _explain(error)))
    return results + in_new_process([part])


def in_new_process(parts: list[Part]) -> list[Result]:
    """Save a model with each part, and load them all in one new process.

    The process imports no part by hand: `keras_dlparts.load_model` finds them.
    Returns a list of `Result`s.

    Args:
        parts: List of `registry.Part`s. Those that Keras does not save inside a
            model (data sources, callbacks) are left out.
    """
    results, saved = [], []
    name = "loads in a new process"
    for part in parts:
        if part.kind in ("data", "callbacks"):
            continue
        try:
            saved += [case for case in cases(part) if not case.skip]
        except Exception as error:
            results.append(Result(f"{part.name}: {name}", False, _explain(error)))
    for case, error in processes.load_elsewhere(saved):
        message = _explain(error) if isinstance(error, Exception) else error
        results.append(Result(f"{case}: {name}", not message, message))
    return results


def _explain(error):
    if isinstance(error, ContractError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def __dir__():
    return __all__
