"""Whole architectures made of parts, one a file."""

from keras_dlparts.models.autoencoder import Autoencoder
from keras_dlparts.models.dbm import DBM
from keras_dlparts.models.dbn import DBN
from keras_dlparts.models.encoder_decoder import EncoderDecoder
from keras_dlparts.models.gan import GAN
from keras_dlparts.models.mlp import MLP
from keras_dlparts.models.plain_net import PlainNet
from keras_dlparts.models.resnet import ResNet

__all__ = [
    "DBM",
    "DBN",
    "GAN",
    "MLP",
    "Autoencoder",
    "EncoderDecoder",
    "PlainNet",
    "ResNet",
]


def __dir__():
    return __all__
