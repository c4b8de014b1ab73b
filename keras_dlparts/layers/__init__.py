"""Layers, one a file."""

from keras_dlparts.layers.dropout.feature_space_augmentation import (
    FeatureSpaceAugmentation,
)
from keras_dlparts.layers.dropout.random_dropout import RandomDropout
from keras_dlparts.layers.energy.boltzmann_machine import BoltzmannMachine
from keras_dlparts.layers.energy.hopfield import Hopfield
from keras_dlparts.layers.energy.modern_hopfield import ModernHopfield
from keras_dlparts.layers.energy.rbm import RBM
from keras_dlparts.layers.kernels.radial_basis import RadialBasis
from keras_dlparts.layers.neocognitron.neocognitron_c import NeocognitronC
from keras_dlparts.layers.neocognitron.neocognitron_s import NeocognitronS
from keras_dlparts.layers.normalization.noisy_batch_normalization import (
    NoisyBatchNormalization,
)
from keras_dlparts.layers.normalization.spectral_weight_normalization import (
    SpectralWeightNormalization,
)
from keras_dlparts.layers.normalization.weight_normalization import WeightNormalization
from keras_dlparts.layers.preprocessing.fixed_filter import FixedFilter
from keras_dlparts.layers.preprocessing.min_max_normalization import MinMaxNormalization
from keras_dlparts.layers.preprocessing.softmax_scaling import SoftmaxScaling
from keras_dlparts.layers.preprocessing.whitening import Whitening
from keras_dlparts.layers.reconstruction.gaussian_sampling import GaussianSampling
from keras_dlparts.layers.reconstruction.k_sparse import KSparse
from keras_dlparts.layers.reconstruction.masking_noise import MaskingNoise
from keras_dlparts.layers.reconstruction.max_unpooling import MaxUnpooling
from keras_dlparts.layers.reconstruction.salt_and_pepper import SaltAndPepper
from keras_dlparts.layers.reconstruction.tied_conv import TiedConv
from keras_dlparts.layers.reconstruction.tied_dense import TiedDense
from keras_dlparts.layers.recurrent.layer_norm_gru import LayerNormGRU, LayerNormGRUCell
from keras_dlparts.layers.recurrent.layer_norm_lstm import (
    LayerNormLSTM,
    LayerNormLSTMCell,
)
from keras_dlparts.layers.recurrent.layer_norm_simple_rnn import (
    LayerNormSimpleRNN,
    LayerNormSimpleRNNCell,
)
from keras_dlparts.layers.residual.residual import Residual
from keras_dlparts.layers.residual.residual_block import ResidualBlock
from keras_dlparts.layers.residual.residual_dense_block import ResidualDenseBlock
from keras_dlparts.layers.residual.stochastic_depth import StochasticDepth
from keras_dlparts.layers.sparsity.bayesian_sparsity_dropout import (
    BayesianSparsityDropout,
)
from keras_dlparts.layers.units.maxout import Maxout
from keras_dlparts.layers.units.perceptron import Perceptron

__all__ = [
    "RBM",
    "BayesianSparsityDropout",
    "BoltzmannMachine",
    "FeatureSpaceAugmentation",
    "FixedFilter",
    "GaussianSampling",
    "Hopfield",
    "KSparse",
    "LayerNormGRU",
    "LayerNormGRUCell",
    "LayerNormLSTM",
    "LayerNormLSTMCell",
    "LayerNormSimpleRNN",
    "LayerNormSimpleRNNCell",
    "MaskingNoise",
    "MaxUnpooling",
    "Maxout",
    "MinMaxNormalization",
    "ModernHopfield",
    "NeocognitronC",
    "NeocognitronS",
    "NoisyBatchNormalization",
    "Perceptron",
    "RadialBasis",
    "RandomDropout",
    "Residual",
    "ResidualBlock",
    "ResidualDenseBlock",
    "SaltAndPepper",
    "SoftmaxScaling",
    "SpectralWeightNormalization",
    "StochasticDepth",
    "TiedConv",
    "TiedDense",
    "WeightNormalization",
    "Whitening",
]


def __dir__():
    return __all__
