import numpy as np
import pytest

from keras_dlparts.schedules import Ramp


def test_it_rises_in_a_straight_line_and_stays():
    ramp = Ramp(4, start=1.0, end=3.0)
    assert [float(ramp(t)) for t in range(7)] == [1, 1.5, 2, 2.5, 3, 3, 3]


def test_cycles_rise_over_their_first_half():
    ramp = Ramp(8, cycles=2)
    found = [float(ramp(np.int64(t))) for t in range(10)]
    assert found == [0, 0.5, 1, 1, 0, 0.5, 1, 1, 1, 1]


def test_bad_arguments():
    with pytest.raises(ValueError, match="`steps` must be at least 1"):
        Ramp(0)
    with pytest.raises(ValueError, match="`cycles` must be at least 1"):
        Ramp(10, cycles=0)
