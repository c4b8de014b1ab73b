"""A kernel machine: every training point is a template, and their sum decides.

    f_k(x) = b_k + sum_i a_ik phi(|x - x_i|^2 / width^2)    a class k; one f for two
    hinge:  min |f|^2 / 2 + C sum_i max(0, 1 - t_i f(x_i))  t_i = 1 or -1
    ridge:  min |f|^2 / 2 + C sum_i (t_i - f(x_i))^2        b the mean of t
            a = (K + I / (2 C))^-1 (t - b),   K_ij = phi(|x_i - x_j|^2 / width^2)

|f| is the norm that belongs to the kernel, without b. With the hinge most a_i may be 0;
the x_i of the others are the support vectors. With the ridge none is 0. How many digits
are lost in solving it is told by the condition of K + I / (2 C), at most 1 + 2 C rows.

The hinge is left to scikit-learn's `SVC`. What is added are the ridge, and the Keras
model: `RadialBasis` and `Dense`, on any backend.
Cortes & Vapnik 1995, "Support-vector networks"; Rifkin & Klautau 2004, "In defense of
one-vs-all classification", for the ridge as a classifier and for many classes.
"""

import warnings
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import linalg
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.svm import SVC
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from keras_dlparts.support.checks import check_number, check_word

if TYPE_CHECKING:
    import keras

# The kernels of `RadialBasis` whose matrices K are positive definite, in float64.
KERNELS = {
    "gaussian": lambda q: np.exp(-q / 2),
    "laplacian": lambda q: np.exp(-np.sqrt(q)),
    "inverse_multiquadric": lambda q: 1 / np.sqrt(1 + q),
}
_MOST = 1e12  # a condition beyond leaves fewer than 4 digits


class KernelMachine(ClassifierMixin, BaseEstimator):
    """Kernel machine for classification that becomes a Keras model.

    `to_keras()` gives the fitted machine as a model of two layers, to train on, export
    or ship. Features of different sizes want a `StandardScaler` before.

    Args:
        kernel: `"gaussian"`, `"laplacian"` or `"inverse_multiquadric"`.
        width: Float greater than 0. None: sqrt(features * var(X) / 2), which is `gamma`
            `"scale"` of scikit-learn's `SVC`.
        loss: `"hinge"` or `"ridge"`.
        C: Float greater than 0. The larger, the less f is smoothed.

    Attributes:
        classes_: The labels.
        support_: The indices of the training points whose coefficient is not 0.
        n_support_: Integer, how many these are.
        support_vectors_: `(n_support_, n_features_in_)`.
        dual_coef_: `(n_support_, 1)` for two classes, else a column a class.
        intercept_: A number a column.
        width_: Float.
        condition_: Float, with the ridge: LAPACK's estimate of the condition of what
            was solved.
        n_features_in_: Integer.

    Example:

    >>> from sklearn.datasets import load_digits
    >>> x, y = load_digits(return_X_y=True)
    >>> machine = KernelMachine(C=10).fit(x[:1000], y[:1000])
    >>> machine.n_support_ < 1000
    True
    >>> machine.to_keras().output_shape
    (None, 10)
    """

    def __init__(
        self,
        kernel: Literal["gaussian", "laplacian", "inverse_multiquadric"] = "gaussian",
        *,
        width: float | None = None,
        loss: Literal["hinge", "ridge"] = "hinge",
        C: float = 1.0,
    ):
        self.kernel = kernel
        self.width = width
        self.loss = loss
        self.C = C

    def fit(self, X, y):
        """Fit to `X`, `(rows, n_features)`, and labels `y`, `(rows,)`."""
        check_word("kernel", self.kernel, KERNELS)
        check_word("loss", self.loss, ("hinge", "ridge"))
        check_number("C", self.C, above=0)
        if self.width is not None:
            check_number("width", self.width, above=0)
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                "Classifier can't train when only one class is present. "
                f"Received: {self.classes_}"
            )
        if hasattr(self, "condition_"):  # of a fit with the ridge
            del self.condition_
        self.width_ = self._own_width(X)
        wanted = range(len(self.classes_)) if len(self.classes_) > 2 else [1]
        targets = np.stack([np.where(numbers == k, 1.0, -1.0) for k in wanted], axis=1)
        a, b = getattr(self, f"_{self.loss}")(X, targets)
        self.support_ = np.flatnonzero((a != 0).any(axis=1))
        self.n_support_ = len(self.support_)
        self.support_vectors_ = X[self.support_]
        self.dual_coef_ = a[self.support_]
        self.intercept_ = b
        return self

    def _own_width(self, X):
        if self.width is not None:
            return float(self.width)
        variance = X.var()
        return float(np.sqrt(X.shape[1] * variance / 2)) if variance else 1.0

    def _hinge(self, X, targets):
        """(a, b) by scikit-learn's machine for each column."""
        options = {"kernel": "rbf", "gamma": 1 / (2 * self.width_**2)}, X
        if self.kernel != "gaussian":
            options = {"kernel": "precomputed"}, self._similarities(X, X)
        options, given = options
        a, b = np.zeros(targets.shape), np.zeros(targets.shape[1])
        for k, t in enumerate(targets.T):
            machine = SVC(C=self.C, **options).fit(given, t)
            a[machine.support_, k] = machine.dual_coef_[0]
            b[k] = machine.intercept_[0]
        return a, b

    def _ridge(self, X, targets):
        """(a, b) by the closed form."""
        K = self._similarities(X, X)
        K[np.diag_indices_from(K)] += 1 / (2 * self.C)
        size = np.abs(K).sum(axis=0).max()
        b = targets.mean(axis=0)
        try:
            factor = linalg.cho_factor(K, overwrite_a=True)
            reciprocal, _ = linalg.lapack.dpocon(factor[0], size)
            self.condition_ = 1 / reciprocal
        except (linalg.LinAlgError, ZeroDivisionError) as error:
            raise ValueError(
                "K + I / (2 C) must be positive definite in float64, and rounding has "
                f"made it singular. Received: C={self.C}. Lower C or `width`"
            ) from error
        if self.condition_ > _MOST:
            warnings.warn(
                f"K + I / (2 C) has a condition of {self.condition_:.1g}, which leaves "
                "the coefficients few digits of float64's 16. Received: "
                f"C={self.C}, width={self.width_:.6g}. Lower C or `width`",
                stacklevel=3,
            )
        return linalg.cho_solve(factor, targets - b), b

    def _similarities(self, X, Y):
        q = euclidean_distances(X, Y, squared=True) / self.width_**2
        return KERNELS[self.kernel](q)

    def decision_function(self, X):
        """f, `(rows,)` for two classes and `(rows, classes)` for more."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        f = self._similarities(X, self.support_vectors_) @ self.dual_coef_
        f = f + self.intercept_
        return f[:, 0] if f.shape[1] == 1 else f

    def predict(self, X):
        """The label of each row."""
        f = self.decision_function(X)
        return self.classes_[(f > 0).astype(int) if f.ndim == 1 else f.argmax(axis=1)]

    def to_keras(self, learn_templates: bool = False) -> "keras.Model":
        """The machine as `keras_dlparts.models.KernelMachine`, with its templates.

        Its outputs are those of `decision_function`, `(rows, 1)` for two classes.
        Warns where float32 is too coarse for them.

        Args:
            learn_templates: Whether `fit` of the model moves templates and width too.
        """
        from keras import ops

        from keras_dlparts.models import KernelMachine

        check_is_fitted(self)
        model = KernelMachine(
            self.n_support_,
            outputs=len(self.intercept_),
            kernel=self.kernel,
            width=self.width_,
            learn_templates=learn_templates,
            input_shape=(self.n_features_in_,),
        )
        basis, dense = model.layers[-2:]
        basis.set_weights([self.support_vectors_, basis.get_weights()[1]])
        dense.set_weights([self.dual_coef_, self.intercept_])
        x = self.support_vectors_[:1000]
        f = self.decision_function(x).reshape(len(x), -1)
        error = np.abs(ops.convert_to_numpy(model(np.float32(x))) - f).max()
        if error > 1e-2:
            warnings.warn(
                "The model, in float32, differs from the machine, in float64, by up to "
                f"{error:.2g} at its own templates. Received: coefficients up to "
                f"{np.abs(self.dual_coef_).max():.2g}. Lower C or `width`",
                stacklevel=2,
            )
        return model
