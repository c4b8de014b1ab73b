"""Restricted Boltzmann machines for scikit-learn: in a `Pipeline`, a `GridSearchCV`.

    transform(X)      = E[h given v = X], one column a hidden unit
    score_samples(X)  = sum_i log p(v_i given the others), over all visible units i

Scikit-learn's `BernoulliRBM` draws one unit a row instead, so its score is this one in
the mean; drawn scores would break the rule that a row's score is its own.

The machine is `keras_dlparts.layers.RBM`, trained by SGD through Keras' `fit` with as
many steps a call as the backend can loop over.
"""

import warnings

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from keras_dlparts.support.checks import check_count, check_number


class RBMTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Bernoulli restricted Boltzmann machine as a transformer.

    Its arguments have the names and defaults of scikit-learn's `BernoulliRBM`, and
    with `persistent=True`, the default, it learns by the same rule: persistent
    contrastive divergence with as many chains as a batch has rows. A fitted one can be
    pickled; it holds the weights as arrays. Scikit-learn's rules want any numbers to be
    taken: values outside [0, 1] are clipped, with a warning.

    Args:
        n_components: Integer, `>= 1`. The hidden units.
        learning_rate: Float greater than 0, of plain SGD.
        batch_size: Integer, `>= 1`.
        n_iter: Integer, `>= 1`. Epochs of `fit`.
        k: Integer, `>= 1`. Gibbs steps a training step.
        persistent: Whether the chains go on from batch to batch.
        verbose: Whether to print a line an epoch.
        random_state: Integer, `RandomState` or None.

    Attributes:
        components_: `(n_components, n_features)`, W transposed.
        intercept_hidden_: `(n_components,)`.
        intercept_visible_: `(n_features,)`.
        h_samples_: `(batch_size, n_components)`, the chains, if `persistent`.
        history_: Dict of lists, a figure an epoch.
        n_features_in_: Integer.

    Example:

    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> x, y = load_digits(return_X_y=True)
    >>> rbm = RBMTransformer(30, n_iter=2, random_state=0)
    >>> model = make_pipeline(rbm, LogisticRegression(max_iter=500)).fit(x / 16, y)
    >>> rbm.transform(x[:5] / 16).shape
    (5, 30)
    """

    def __init__(
        self,
        n_components: int = 256,
        *,
        learning_rate: float = 0.1,
        batch_size: int = 10,
        n_iter: int = 10,
        k: int = 1,
        persistent: bool = True,
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.n_components = n_components
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.n_iter = n_iter
        self.k = k
        self.persistent = persistent
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X, y=None):
        """Learn `n_iter` epochs on `X`, `(rows, n_features)` of values in [0, 1]."""
        X = self._rows(X, reset=True)
        self._check_numbers()
        model = self._new_model(X.shape[1])
        self._train(model, X, self.n_iter)
        return self

    def partial_fit(self, X, y=None):
        """Learn one more epoch on `X`, from the weights and chains there are.

        Chains that do not fit `batch_size` any more begin anew.
        """
        first = not hasattr(self, "components_")
        X = self._rows(X, reset=first)
        self._check_numbers()
        if not first and self.n_components != len(self.components_):
            raise ValueError(
                "`n_components` must stay as it was fitted, "
                f"{len(self.components_)}; `fit` begins anew. "
                f"Received: n_components={self.n_components}"
            )
        model = self._new_model(X.shape[1]) if first else self._model()
        self._train(model, X, 1)
        return self

    def transform(self, X):
        """The hidden units' means, `(rows, n_components)`."""
        check_is_fitted(self)
        X = self._rows(X)
        x = X @ self.components_.T + self.intercept_hidden_
        return 0.5 * (1 + np.tanh(0.5 * x))

    def score_samples(self, X):
        """The pseudo-log-likelihood of each row, over all visible units."""
        check_is_fitted(self)
        X = self._rows(X)
        x = X @ self.components_.T + self.intercept_hidden_
        total = np.zeros(len(X), X.dtype)
        for i, W_i in enumerate(self.components_.T):
            change = 1 - 2 * X[:, i]
            terms = np.logaddexp(0, x + change[:, None] * W_i) - np.logaddexp(0, x)
            difference = -self.intercept_visible_[i] * change - terms.sum(1)
            total -= np.logaddexp(0, -difference)
        return total

    def gibbs(self, v):
        """One Gibbs step from the visible states `v`, of the same shape.

        Each call draws anew, as `random_state` decides.
        """
        check_is_fitted(self)
        v = self._rows(v)
        layer = self._model().layers[-1]
        sampled = layer.sample(len(v), 1, start=v)
        self._seed_state = _numpy(layer.seed_generator.state)
        return np.asarray(_numpy(sampled), v.dtype)

    def _rows(self, X, reset=False):
        X = validate_data(self, X, reset=reset, dtype=(np.float64, np.float32))
        low, high = X.min(), X.max()
        if low < 0 or high > 1:
            warnings.warn(
                "RBMTransformer takes values in [0, 1] and clips others: scale the "
                "data, for example by MinMaxScaler(clip=True). Received: "
                f"{low:.6g} to {high:.6g}",
                stacklevel=3,
            )
            X = np.clip(X, 0, 1)
        return X

    def _check_numbers(self):
        for name in ("n_components", "batch_size", "n_iter", "k"):
            check_count(name, getattr(self, name))
        check_number("learning_rate", self.learning_rate, above=0)

    def _new_model(self, features):
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self._seed_state = np.array([seed, 0])
        return self._built(features, self.n_components)

    def _built(self, features, hidden):
        import keras

        from keras_dlparts.layers import RBM

        layer = RBM(
            hidden,
            k=self.k,
            persistent=self.persistent,
            chains=self.batch_size,
            monitor=bool(self.verbose),
            seed=int(self._seed_state[0]),
        )
        model = keras.Sequential([keras.Input((features,)), layer])
        model.compile(keras.optimizers.SGD(float(self.learning_rate)))
        return model

    def _model(self):
        """The Keras model with the fitted weights."""
        model = self._built(self.n_features_in_, len(self.components_))
        layer = model.layers[-1]
        layer.kernel.assign(self.components_.T)
        layer.visible_bias.assign(self.intercept_visible_)
        layer.hidden_bias.assign(self.intercept_hidden_)
        chains = getattr(self, "h_samples_", np.empty(0))
        if self.persistent and chains.shape == tuple(layer.particles.shape):
            layer.particles.assign(chains)
        layer.seed_generator.state.assign(self._seed_state)
        return model

    def _train(self, model, X, epochs):
        from keras_dlparts.data.batches import Batches
        from keras_dlparts.training import chunks

        batches = Batches(np.asarray(X, "float32"), batch_size=self.batch_size)
        steps = chunks.steps_a_call(model, batches)
        data = chunks.prepared(model, batches, steps)
        history = model.fit(
            data, epochs=epochs, verbose=2 if self.verbose else 0, shuffle=False
        )
        layer = model.layers[-1]
        self.components_ = _numpy(layer.kernel).T.astype(X.dtype)
        self.intercept_hidden_ = _numpy(layer.hidden_bias).astype(X.dtype)
        self.intercept_visible_ = _numpy(layer.visible_bias).astype(X.dtype)
        if not np.isfinite(self.components_).all():
            raise ValueError(
                "The weights grew without bounds. Received: "
                f"learning_rate={self.learning_rate}. Lower it"
            )
        if self.persistent:
            self.h_samples_ = _numpy(layer.particles).astype(X.dtype)
        elif hasattr(self, "h_samples_"):  # of a fit that was persistent
            del self.h_samples_
        self._seed_state = _numpy(layer.seed_generator.state)
        self.history_ = history.history

    @property
    def _n_features_out(self):
        return self.components_.shape[0]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _numpy(tensor):
    from keras import ops

    return np.array(ops.convert_to_numpy(tensor))
