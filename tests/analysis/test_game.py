"""The spectrum of games whose eigenvalues are known."""

import keras
import numpy as np
import pytest
from keras import layers as kl

from keras_dlparts.analysis import game_spectrum
from keras_dlparts.models import GAN

X = np.zeros((4, 1), "float32")


def dirac(objective, **options):
    """One real point, 0, against one generated, theta; D(x) = psi x. Both at 0.

    L_D = f(psi theta) + a constant and L_G = -f(psi theta) have the Jacobian
    [[r1, f'(0)], [-f'(0), 0]], with f'(0) = 1/2 of the softplus and 1 of the bilinear
    game. The generator's kernel does nothing, for its code is times 0.
    """
    model = GAN(
        generator=[kl.Rescaling(0.0), kl.Dense(1)],
        discriminator=[kl.Dense(1, use_bias=False, kernel_initializer="zeros")],
        latent=1,
        objective=objective,
        **options,
    )
    model.compile("sgd")
    return model


@pytest.mark.parametrize(
    ("objective", "r1", "slope"),
    [("wasserstein", 0.0, 1.0), ("minimax", 0.0, 0.5), ("minimax", 1.5, 0.5)],
)
def test_eigenvalues_of_the_dirac_gan(objective, r1, slope):
    found = game_spectrum(dirac(objective, r1=r1), X)
    known = np.roots([1, -r1, slope**2])  # lambda^2 - r1 lambda + f'(0)^2
    ours = found.eigenvalues[:2]
    np.testing.assert_allclose(np.sort_complex(ours), np.sort_complex(known), atol=1e-3)
    assert abs(found.eigenvalues[2]) < 1e-3
    assert found.slope == pytest.approx(0, abs=1e-6)
    if r1 == 0:  # it circles, whatever the rate
        assert found.largest_learning_rate == 0
    else:
        rate = (2 * known.real / np.abs(known) ** 2).min()
        assert found.largest_learning_rate == pytest.approx(rate, rel=1e-2)


@pytest.mark.long
@pytest.mark.parametrize("share", [0.9, 1.1])
def test_the_largest_learning_rate_is_where_descent_comes_to_rest(share):
    model = dirac("minimax", r1=1.5)
    rate = share * game_spectrum(model, X).largest_learning_rate
    theta, psi = model.generator.trainable_variables[1], model.discriminator.weights[0]
    theta.assign([0.01])
    before = game_spectrum(model, X)  # leaves what it looked at
    assert float(theta.numpy()[0]) == pytest.approx(0.01)
    assert before.slope > 0
    model.compile(keras.optimizers.SGD(rate))
    for _ in range(30):
        model.train_on_batch(X)
    if keras.backend.backend() == "jax":
        model.jax_state_sync()
    ends = abs(float(theta.numpy()[0])) + abs(float(psi.numpy()[0, 0]))
    assert (ends < 0.01) == (share < 1)


def test_it_is_for_small_nets():
    model = GAN(kl.Dense(1), [kl.Dense(3000), kl.Dense(1)], latent=1)
    model.compile("sgd")
    with pytest.raises(ValueError, match="at most 2000 weights"):
        game_spectrum(model, X)
    with pytest.raises(ValueError, match="`step` must be"):
        game_spectrum(dirac("minimax"), X, step=0)
    pytest.importorskip("matplotlib")
    assert game_spectrum(dirac("minimax"), X).figure().axes
