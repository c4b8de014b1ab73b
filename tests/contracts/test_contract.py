"""Every registered part keeps the contract, on the backend that runs.

The lists come from the registry: a new part is covered, or fails for want of a
case, without a line here.
"""

import numpy as np
import pytest

from keras_dlparts import backend, registry, testing
from keras_dlparts.testing import replication
from keras_dlparts.testing.cases import cases
from keras_dlparts.testing.examples import example

# Of a part's further cases CI asks everything on PyTorch alone, which compiles nothing;
# on the others it asks whether they fit. The rest takes minutes.
COSTLY = "exports", "quantizes"
# They take seconds, or are alike: float8 and int4 are noted as int8 is.
SLOW = "exports", "quantizes to float8", "quantizes to int4", "two replicas equal"


def marks(check, again):
    """What is asked of a part's further cases, `again`, may wait where it is costly."""
    costly = check.name.startswith(COSTLY)
    if backend.name() != "torch":
        costly |= check.name != "fits"
    if costly and again:
        return [pytest.mark.study]
    return [pytest.mark.long] if check.name.startswith(SLOW) else []


def asked():
    """All that is asked of all parts."""
    seen = set()
    for part in registry.parts():
        for check in testing.checks(part):
            again = (part.name, check.name) in seen
            seen.add((part.name, check.name))
            yield pytest.param(check, id=str(check), marks=marks(check, again))


@pytest.mark.parametrize("check", [*asked()])
def test_part_keeps(check):
    if check.skip:
        pytest.skip(check.skip)
    check.run()


def test_every_entry_is_sound():
    assert registry.problems() == []


@pytest.mark.study
@pytest.mark.skipif(
    backend.name() != "tensorflow",
    reason="on JAX the contract compiles every case, and PyTorch compiles none",
)
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{part.name} {case.number}")
        for part in registry.parts()
        for case in cases(part)[1:]
        if part.kind != "data" and not case.skip
    ],
)
def test_further_cases_fit_through_xla(case):
    """Of a part's cases the contract itself compiles the first one only."""
    ours = example(case)
    if ours.y is not None:
        history = ours.model.fit(
            ours.x, ours.y, epochs=2, verbose=0, callbacks=ours.callbacks
        )
        assert np.isfinite(history.history["loss"]).all()


@pytest.mark.slow
def test_all_load_in_one_new_process():
    results = testing.in_new_process(registry.parts())
    assert results
    assert [result for result in results if not result.ok] == []


# One of each kind that no test beside its part trains on two replicas, as those of
# RBM, BayesianSparsityDropout and Clipped do. All take minutes: `make test-studies`.
FEW = ("LayerNormLSTM", "PerceptronLoss", "ResidualDenseBlock", "SmoothnessTrace")


@pytest.mark.skipif(
    backend.name() != "tensorflow",
    reason="elsewhere the contract's own check calls fit",
)
@pytest.mark.parametrize(
    "part",
    [
        pytest.param(
            part,
            id=part.name,
            marks=pytest.mark.slow
            if part.name.rpartition(".")[2] in FEW
            else pytest.mark.study,
        )
        for part in registry.parts()
        if part.kind != "data"
    ],
)
def test_fit_on_two_replicas_equals_one_device(part):
    """In graphs, with Keras' own sharing of the data."""
    case = cases(part)[0]
    if case.skip:
        pytest.skip(case.skip)
    replication.two_replicas_equal_one_device(case, fit=True)
