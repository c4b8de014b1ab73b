"""The claim on parity counts what its formulas say."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from examples.claims.claim import load


@pytest.mark.long
def test_equal_coefficients_of_the_even_patterns_meet_the_bound():
    parity = load("parity").module()
    x, odd = parity.patterns(range(2**5), 5)
    assert x[1].tolist() == [0] * 4 + [1]
    np.testing.assert_array_equal(odd, x.sum(axis=1) % 2)
    found = {name: count(5) for name, count in parity.MACHINES.items()}
    assert found["even templates"] == found["bound"] == 16 <= found["svc"]
    assert found["tree"] == 28
    with pytest.raises(ValueError, match="errs on 2 of the 32 patterns of 5 bits"):
        parity.checked("it", np.arange(32) > 1, 5)
