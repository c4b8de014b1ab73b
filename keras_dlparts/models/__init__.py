"""Whole architectures made of parts, one a file, in families."""

from keras_dlparts.models import circuits
from keras_dlparts.models.adversarial.gan import GAN
from keras_dlparts.models.energy.dbm import DBM
from keras_dlparts.models.energy.dbn import DBN
from keras_dlparts.models.feedforward.kernel_machine import KernelMachine
from keras_dlparts.models.feedforward.mlp import MLP
from keras_dlparts.models.feedforward.plain_net import PlainNet
from keras_dlparts.models.feedforward.resnet import ResNet
from keras_dlparts.models.reconstruction.autoencoder import Autoencoder
from keras_dlparts.models.sequences.encoder_decoder import EncoderDecoder

__all__ = [
    "DBM",
    "DBN",
    "GAN",
    "MLP",
    "Autoencoder",
    "EncoderDecoder",
    "KernelMachine",
    "PlainNet",
    "ResNet",
    "circuits",
]


def __dir__():
    return __all__
