"""Every part of this distribution keeps the contract of keras-dlparts."""

import pytest

from keras_dlparts import registry, testing

PARTS = [part for part in registry.parts() if part.vendor == "acme"]


def test_all_parts_are_found():
    names = [part.name for part in PARTS]
    assert names == ["acme.GatedMLP", "acme.rings", "acme.WeightNorms"]


@pytest.mark.parametrize(
    "check", [check for part in PARTS for check in testing.checks(part)], ids=str
)
def test_part_keeps(check):
    if check.skip:
        pytest.skip(check.skip)
    check.run()


def test_models_load_in_a_new_process():
    results = testing.in_new_process(PARTS)
    assert results
    assert [result for result in results if not result.ok] == []
