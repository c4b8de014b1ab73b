"""Every registered part keeps the contract, on the backend that runs.

The lists come from the registry: a new part is covered, or fails for want of a
case, without a line here.
"""

import pytest

from keras_dlparts import registry, testing

CHECKS = [check for part in registry.parts() for check in testing.checks(part)]


@pytest.mark.parametrize("check", CHECKS, ids=str)
def test_part_keeps(check):
    if check.skip:
        pytest.skip(check.skip)
    check.run()


def test_every_entry_is_sound():
    assert registry.problems() == []


@pytest.mark.slow
def test_all_load_in_one_new_process():
    results = testing.in_new_process(registry.parts())
    assert results
    assert [result for result in results if not result.ok] == []
