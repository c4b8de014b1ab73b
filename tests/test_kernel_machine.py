"""KernelMachine solves what it says, and its Keras model gives what it gives."""

import pickle
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.datasets import load_digits
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from keras_dlparts.sklearn import KernelMachine
from keras_dlparts.sklearn.kernel_machine import KERNELS

x, y = load_digits(return_X_y=True)
x, y = x[:300], y[:300]
odd = y % 2


@pytest.mark.slow
@parametrize_with_checks([KernelMachine(), KernelMachine(loss="ridge")])
def test_scikit_learns_estimator_checks(estimator, check):
    check(estimator)


def test_the_hinge_is_scikit_learns_svc():
    ours, theirs = KernelMachine().fit(x, odd), SVC().fit(x, odd)
    np.testing.assert_array_equal(ours.support_, np.sort(theirs.support_))
    assert ours.n_support_ == theirs.n_support_.sum() < 300
    np.testing.assert_allclose(
        ours.decision_function(x), theirs.decision_function(x), atol=1e-6
    )
    many = KernelMachine(width=20.0, C=3.0).fit(x, y)
    theirs = OneVsRestClassifier(SVC(gamma=1 / 800, C=3.0)).fit(x, y)
    np.testing.assert_allclose(
        many.decision_function(x), theirs.decision_function(x), atol=1e-6
    )
    np.testing.assert_array_equal(many.predict(x), theirs.predict(x))


def test_the_ridge_solves_its_equations():
    for kernel, phi in KERNELS.items():
        machine = KernelMachine(kernel, loss="ridge", C=5.0, width=30.0).fit(x, y)
        q = ((x[:, None] - x) ** 2).sum(axis=-1) / 900
        A = phi(q) + np.eye(300) / 10
        t = 2.0 * (y[:, None] == np.arange(10)) - 1
        a = np.linalg.inv(A) @ (t - t.mean(axis=0))
        np.testing.assert_allclose(machine.dual_coef_, a, atol=1e-8)
        np.testing.assert_array_equal(machine.support_, np.arange(300))
        # LAPACK estimates it from below, seldom by less than a third.
        assert 1 / 3 < machine.condition_ / np.linalg.cond(A, 1) < 1.0001
        assert np.linalg.cond(A) <= 1 + 2 * 5 * 300


def test_the_condition_goes_with_the_ridge():
    machine = KernelMachine(loss="ridge").fit(x, odd)
    assert machine.condition_ > 1
    assert not hasattr(machine.set_params(loss="hinge").fit(x, odd), "condition_")


def test_the_keras_model_gives_the_same():
    for kernel in KERNELS:
        machine = KernelMachine(kernel).fit(x, y)
        f = machine.to_keras().predict_on_batch(x)
        # Near a center a root turns float32's 1e-7 into 3e-4.
        loose = 2e-3 if kernel == "laplacian" else 2e-4
        np.testing.assert_allclose(f, machine.decision_function(x), atol=loose)
    two = pickle.loads(pickle.dumps(KernelMachine(loss="ridge").fit(x, odd)))
    model = two.to_keras(learn_templates=True)
    f = model.predict_on_batch(x)
    np.testing.assert_allclose(f[:, 0], two.decision_function(x), atol=2e-4)
    assert len(model.trainable_weights) == 4
    assert not two.to_keras().layers[-2].trainable_weights


def test_parity_takes_half_of_all_patterns():
    """Bengio, Delalleau & Le Roux 2006: at least 2^(d-1) coefficients."""
    for d in range(2, 7):
        bits = (np.arange(2**d)[:, None] >> np.arange(d) & 1).astype("float64")
        for width in (0.5, 1.0):
            machine = KernelMachine(width=width, C=1e6).fit(bits, bits.sum(axis=1) % 2)
            assert machine.score(bits, bits.sum(axis=1) % 2) == 1
            assert machine.n_support_ >= 2 ** (d - 1)


def test_what_rounding_spoils_is_told():
    with pytest.warns(UserWarning, match=r"has a condition of .*Lower C or `width`"):
        machine = KernelMachine(loss="ridge", width=1e4, C=1e14).fit(x, odd)
    with pytest.warns(UserWarning, match="in float32, differs from the machine"):
        machine.to_keras()
    twice = np.repeat(x[:50], 2, axis=0)
    with pytest.raises(ValueError, match=r"made it singular. Received: C=1e\+20"):
        KernelMachine(loss="ridge", C=1e20).fit(twice, np.arange(100) % 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        KernelMachine(loss="ridge").fit(x, odd).to_keras()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": "thin_plate"}, "`kernel` must be one of 'gaussian', 'laplacian'"),
        ({"loss": "log"}, "`loss` must be one of 'hinge', 'ridge'"),
        ({"C": 0}, "`C` must be a finite number, greater than 0"),
        ({"width": 0}, "`width` must be a finite number, greater than 0"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        KernelMachine(**options).fit(x, y)
    with pytest.raises(ValueError, match="only one class"):
        KernelMachine().fit(x, np.zeros(300))
