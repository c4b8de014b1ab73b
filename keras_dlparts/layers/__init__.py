"""Layers, one a file."""

from keras_dlparts.layers.bayesian_sparsity_dropout import BayesianSparsityDropout
from keras_dlparts.layers.feature_space_augmentation import (
    FeatureSpaceAugmentation,
)
from keras_dlparts.layers.layer_norm_gru import LayerNormGRU, LayerNormGRUCell
from keras_dlparts.layers.layer_norm_lstm import LayerNormLSTM, LayerNormLSTMCell
from keras_dlparts.layers.layer_norm_simple_rnn import (
    LayerNormSimpleRNN,
    LayerNormSimpleRNNCell,
)
from keras_dlparts.layers.maxout import Maxout
from keras_dlparts.layers.min_max_normalization import MinMaxNormalization
from keras_dlparts.layers.noisy_batch_normalization import NoisyBatchNormalization
from keras_dlparts.layers.perceptron import Perceptron
from keras_dlparts.layers.random_dropout import RandomDropout
from keras_dlparts.layers.rbm import RBM
from keras_dlparts.layers.residual import Residual
from keras_dlparts.layers.residual_block import ResidualBlock
from keras_dlparts.layers.residual_dense_block import ResidualDenseBlock
from keras_dlparts.layers.softmax_scaling import SoftmaxScaling
from keras_dlparts.layers.stochastic_depth import StochasticDepth
from keras_dlparts.layers.weight_normalization import WeightNormalization
from keras_dlparts.layers.whitening import Whitening
