"""RBMTransformer keeps scikit-learn's own rules, and learns as BernoulliRBM does."""

import pickle

import numpy as np
import pytest

from keras_dlparts import backend

sklearn = pytest.importorskip("sklearn")

from sklearn.datasets import load_digits  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.neural_network import BernoulliRBM  # noqa: E402
from sklearn.pipeline import Pipeline  # noqa: E402
from sklearn.preprocessing import MinMaxScaler  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from keras_dlparts.sklearn import RBMTransformer  # noqa: E402

x, y = load_digits(return_X_y=True)
x = x[:600] / 16
y = y[:600]


def small(**options):
    return RBMTransformer(16, **{"n_iter": 2, "random_state": 0} | options)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:RBMTransformer takes values in:UserWarning")
@parametrize_with_checks([RBMTransformer(4, n_iter=1)])
def test_scikit_learns_estimator_checks(estimator, check):
    check(estimator)


@pytest.mark.long
def test_in_a_pipeline_and_a_grid_search():
    steps = [
        ("scale", MinMaxScaler(clip=True)),
        ("rbm", small()),
        ("log", LogisticRegression()),
    ]
    grid = {"rbm__learning_rate": [0.01, 0.06]}
    search = GridSearchCV(Pipeline(steps), grid, cv=2).fit(x, y)
    assert search.best_params_["rbm__learning_rate"] in grid["rbm__learning_rate"]
    assert search.predict(x).shape == y.shape
    names = search.best_estimator_[:-1].get_feature_names_out()
    assert names[0] == "rbmtransformer0"


def test_scores_and_features_are_bernoulli_rbms_under_the_same_weights():
    ours = small().fit(x)
    theirs = BernoulliRBM(16, random_state=0, n_iter=1).fit(x)
    theirs.components_ = ours.components_
    theirs.intercept_hidden_ = ours.intercept_hidden_
    theirs.intercept_visible_ = ours.intercept_visible_
    np.testing.assert_allclose(ours.transform(x), theirs.transform(x), rtol=1e-6)
    terms = []
    for i in range(64):  # theirs draws one unit a row; here each in its turn
        flipped = x[:20].copy()
        flipped[:, i] = 1 - flipped[:, i]
        change = theirs._free_energy(flipped) - theirs._free_energy(x[:20])
        terms.append(-np.logaddexp(0, -change))
    np.testing.assert_allclose(ours.score_samples(x[:20]), np.sum(terms, 0))


@pytest.mark.long
def test_it_learns_as_bernoulli_rbm_does():
    """Equal settings, six epochs: pseudo-likelihoods differ by less than 2 of 25."""
    options = {"learning_rate": 0.05, "n_iter": 6, "random_state": 0}
    ours = RBMTransformer(32, **options).fit(x)
    theirs = BernoulliRBM(32, **options).fit(x)
    scores = [model.score_samples(x).mean() for model in (ours, theirs)]
    assert scores[0] == pytest.approx(scores[1], abs=2)
    before = small(n_iter=1, learning_rate=1e-9).fit(x).score_samples(x).mean()
    assert scores[0] > before + 10


@pytest.mark.long
def test_partial_fit_goes_on_as_fit_does():
    """Two calls are two epochs: the seeds and the chains go on, too."""
    whole, parts = small().fit(x), small()
    for _ in range(2):
        parts.partial_fit(x)
    np.testing.assert_allclose(parts.components_, whole.components_, rtol=1e-4)
    np.testing.assert_array_equal(parts.h_samples_, whole.h_samples_)


@pytest.mark.long
def test_it_pickles_and_steps_gibbs_chains():
    fitted = small(n_iter=1).fit(x)
    loaded = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(loaded.transform(x), fitted.transform(x))
    v = loaded.gibbs(x[:5])
    assert v.shape == (5, 64)
    assert set(np.unique(v)) == {0, 1}


@pytest.mark.long
def test_parameters_that_are_set_after_a_fit():
    fitted = small(n_iter=1, persistent=False).fit(x[:20])
    assert not hasattr(fitted, "h_samples_")
    fitted.set_params(persistent=True).partial_fit(x[:20])  # the chains begin
    assert fitted.h_samples_.shape == (10, 16)
    fitted.set_params(batch_size=5).partial_fit(x[:20])  # and begin anew
    assert fitted.h_samples_.shape == (5, 16)
    fitted.set_params(n_components=8)
    assert fitted.gibbs(x[:5]).shape == (5, 64)
    with pytest.raises(ValueError, match=r"was fitted, 16.*Received: n_components=8"):
        fitted.partial_fit(x[:20])
    fitted.set_params(persistent=False).fit(x[:20])
    assert not hasattr(fitted, "h_samples_")


def test_a_gibbs_chain_has_the_machines_distribution():
    """Three units against the counted chances, after 12 steps of 4000 chains."""
    random = np.random.default_rng(0)
    fitted = RBMTransformer(2, n_iter=1, random_state=0).fit(random.random((20, 3)))
    W, b, c = random.normal(size=(3, 2)), np.zeros(3), np.zeros(2)
    fitted.components_, fitted.intercept_hidden_ = W.T, c
    fitted.intercept_visible_ = b
    states = (np.arange(8)[:, None] >> np.arange(3) & 1).astype("float64")
    p = np.exp(states @ b) * np.prod(1 + np.exp(c + states @ W), axis=1)
    p /= p.sum()
    v = np.ones((4000, 3))
    once, again = fitted.gibbs(v), fitted.gibbs(v)
    assert (once != again).any()
    for _ in range(12):
        v = fitted.gibbs(v)
    found = np.bincount((v @ [1, 2, 4]).astype(int), minlength=8) / len(v)
    assert (np.abs(found - p) < 5 * np.sqrt(p * (1 - p) / len(v))).all()


def test_values_out_of_range_are_clipped_with_a_warning():
    fitted = small(n_iter=1).fit(x)
    with pytest.warns(UserWarning, match=r"clips others: scale the data.*-0.5 to 2"):
        features = fitted.transform(np.linspace(-0.5, 2, 64)[None])
    expected = fitted.transform(np.clip(np.linspace(-0.5, 2, 64), 0, 1)[None])
    np.testing.assert_array_equal(features, expected)


@pytest.mark.parametrize("name", ["n_components", "batch_size", "n_iter", "k"])
def test_bad_numbers(name):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 1"):
        RBMTransformer(**{name: 0}).fit(x)


@pytest.mark.parametrize("learning_rate", [0, -0.5, float("nan"), "high", True])
def test_bad_learning_rates(learning_rate):
    told = r"`learning_rate` must be a finite number, greater than 0\. Received: learn"
    with pytest.raises((ValueError, TypeError), match=told):
        small(learning_rate=learning_rate).fit(x)


@pytest.mark.long
@pytest.mark.parametrize("learning_rate", [1, np.float32(0.1)])
def test_any_number_is_a_learning_rate(learning_rate):
    fitted = small(learning_rate=learning_rate, n_iter=1).fit(x[:20])
    assert np.isfinite(fitted.components_).all()


def test_weights_without_bounds():
    with pytest.raises(ValueError, match=r"without bounds.*Lower it"):
        small(learning_rate=1e39).fit(x)


def test_the_backends_loop_is_used():
    """An epoch is one call on TensorFlow and JAX, so fits of many epochs stay quick."""
    assert len(small().fit(x).history_["loss"]) == 2
    assert backend.name() in ("tensorflow", "jax", "torch")
