"""Encoder and decoder over sequences: read one, keep a vector of it, write another.

    h_t = encoder(h_(t-1), e(x_t))
    c = tanh(V h_n)                              the context
    s_0 = tanh(V' c)
    s_t = decoder(s_(t-1), [e'(y_(t-1)), c])
    a_t = W_o s_t + U_o e'(y_(t-1)) + C_o c
    o_t = a_t                                    readout="linear"
    o_t = G max(a_t)                             readout="maxout", of every two
    p(y_t | y_(1..t-1), x) = softmax(o_t)        of symbols, for which o_t are logits
    y_t = f(o_t)                                 of real values

n is the length of x, and c all that the decoder knows of x. e and e' are embeddings of
symbols, and real values themselves. y_0 is the symbol `end`, or zeros. Symbol 0 is
padding.

Shapes: x (batch, time) of symbols, or (batch, time, ...) of real values ->
c (batch, context); y likewise -> o (batch, time of y, vocabulary), or y's shape.
Training reads the y_(t-1) that are given (teacher forcing), with the augmentation of c
and the layers' dropout; `generate` reads what it has written.
Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder for
statistical machine translation", arXiv:1406.1078; DeVries & Taylor 2017, "Dataset
augmentation in feature space", arXiv:1702.05538.
"""

import math
from collections.abc import Callable
from typing import Literal

import keras
from keras import ops

from keras_dlparts.backend import keras_private
from keras_dlparts.layers.units.maxout import Maxout
from keras_dlparts.models.sequences import encoder_decoder_figures
from keras_dlparts.models.sequences.sequence_inputs import (
    augmented,
    check_layers,
    check_length,
    check_shape,
    check_vector,
    is_shape,
    parts,
)
from keras_dlparts.models.sequences.writing import Writes
from keras_dlparts.support.checks import (
    check_count,
    check_flag,
    check_number,
    check_word,
)
from keras_dlparts.support.quantization import MakesLayers


def example(folder):
    """The arguments of a small autoencoder of symbols, with layers of its own."""
    return {
        "encoder": keras.layers.SimpleRNN(3),
        "decoder": keras.layers.GRU(3),
        "vocabulary": 4,
        "embedding": 2,
    }


CASES = {
    "EncoderDecoder": (
        {
            "arguments": example,
            "input_shape": (4, 3),
            "input_dtype": "int32",
            "per_share": "the loss is the mean over the symbols of a replica's share",
        },
    )
}


@keras.saving.register_keras_serializable("dlparts")
class EncoderDecoder(Writes, MakesLayers, keras.Model):
    """Reads a sequence into one vector, and writes a sequence from it.

    It trains by plain `compile` and `fit`, on `x=(source, target), y=target`, or with
    a dict of the two as x; the targets are shifted inside, so that each step reads what
    the step before should write. `fit(x, x)` trains an autoencoder of sequences, in a
    config `targets: inputs`. `generate` writes answers to sources alone.

    Sequences of symbols are integers: 0 is padding, which neither the encoder, nor the
    loss, nor a metric counts, and each target ends with the symbol `end`. Targets are
    padded behind, sources where you like. The loss takes logits, such as
    `SparseCategoricalCrossentropy(from_logits=True)`, and is the mean over all symbols
    of the batch that are no padding; each of several replicas takes the mean over its
    own share.

    With `augmentation` training has two phases: first encoder and decoder learn
    together, without it; then `freeze_encoder`, `compile` and `fit` once more, and the
    decoder learns on augmented contexts. `augment` writes new sequences from them.

    Args:
        encoder: A layer that makes one vector of a sequence: a recurrent layer, one in
            `keras.layers.Bidirectional`, or a model `(batch, time, features)` to
            `(batch, features)`.
        decoder: A recurrent layer, `keras.layers.RNN` or a subclass, such as GRU, LSTM
            or LayerNormGRU. The model makes its own one with the same settings.
        vocabulary: Integer, how many symbols targets have, padding and `end` among
            them. None for real values.
        source_vocabulary: Integer, likewise of the sources. 0 for sources of real
            values; None for as many as targets.
        embedding: Integer, the size of a symbol's embedding.
        context: Integer, the size of c. None: that of the encoder's vector.
        readout: `"linear"`, or `"maxout"`, through as many pairs as the decoder has
            units, as Cho et al.
        length: Integer, how many steps `generate` writes at most, and targets may
            have. None: as many as the targets that the model is built on.
        end: Integer, the symbol that ends targets and is read first.
        activation: f, of real values, by name; None for o_t itself.
        mask_value: Float. Steps of real values that all equal it are padding, as for
            `keras.layers.Masking`. None: no step is.
        augmentation: A layer for contexts, such as `FeatureSpaceAugmentation`. Where
            it needs labels, they are the third input.
        frozen: Whether the encoder is frozen, so that the augmentation acts.

    Call arguments:
        inputs: Sources; or a list `[source, target]` or `[source, target, labels]`; or
            a dict with these names. Of sources alone the target is the source.

    Example:

    >>> import numpy as np
    >>> model = EncoderDecoder(keras.layers.GRU(8), keras.layers.GRU(8), vocabulary=6)
    >>> source = np.array([[2, 3, 4, 0], [5, 2, 0, 0]])
    >>> target = np.array([[4, 3, 2, 1], [2, 5, 1, 0]])
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> model.compile("adam", loss, jit_compile=False)
    >>> history = model.fit((source, target), target, verbose=0)
    >>> model.generate(source).shape
    (2, 4)

    Reference: Cho et al. 2014, https://arxiv.org/abs/1406.1078
    """

    def __init__(
        self,
        encoder: keras.layers.Layer,
        decoder: keras.layers.Layer,
        vocabulary: int | None = None,
        source_vocabulary: int | None = None,
        embedding: int = 64,
        context: int | None = None,
        readout: Literal["linear", "maxout"] = "linear",
        length: int | None = None,
        end: int = 1,
        activation: str | Callable | None = None,
        mask_value: float | None = None,
        augmentation: keras.layers.Layer | None = None,
        frozen: bool = False,
        **kwargs,
    ):
        check_layers(encoder, decoder)
        for name, value, least in (
            ("vocabulary", vocabulary, 2),
            ("source_vocabulary", source_vocabulary, 0),
            ("embedding", embedding, 1),
            ("context", context, 1),
            ("length", length, 1),
            ("end", end, 1),
        ):
            if value is not None:
                check_count(name, value, least)
        check_word("readout", readout, ("linear", "maxout"))
        check_flag("frozen", frozen)
        if mask_value is not None:
            check_number("mask_value", mask_value)
        if vocabulary is not None and end >= vocabulary:
            raise ValueError(
                "`end` must be one of the symbols 1 to vocabulary - 1: 0 is padding. "
                f"Received: end={end}, vocabulary={vocabulary}"
            )
        if vocabulary is not None and activation is not None:
            raise ValueError(
                "`activation` is of real values; of symbols the outputs are logits, "
                f"for a loss with from_logits=True. Received: activation={activation!r}"
                f" with vocabulary={vocabulary}"
            )
        super().__init__(**kwargs)
        self.vocabulary = vocabulary
        self.source_vocabulary = source_vocabulary
        self.embedding = embedding
        self.context = context
        self.readout = readout
        self.length = length
        self.end = end
        self.activation = keras.activations.get(activation)
        self.mask_value = mask_value
        self.augmentation = augmentation
        self.encoder = encoder
        again = {"return_sequences": True, "return_state": False}
        self.decoder = type(decoder).from_config(decoder.get_config() | again)
        self.supports_masking = True
        symbols = vocabulary if source_vocabulary is None else source_vocabulary
        self.source_symbols = symbols or None
        self.read = self.read_back = None
        if symbols:
            self.read = self._embedding(symbols, "read", mask_zero=True)
        elif mask_value is not None:
            self.read = keras.layers.Masking(mask_value, dtype=self.dtype_policy)
        if vocabulary is not None:
            self.read_back = self._embedding(vocabulary, "read_back")
        self.to_context = self.to_hidden = self.to_output = self.maxout = None
        self.starts = []
        self.frozen = False
        if frozen:
            self.freeze_encoder()

    def _embedding(self, symbols, name, **more):
        return keras.layers.Embedding(
            symbols, self.embedding, name=name, dtype=self.dtype_policy, **more
        )

    def _dense(self, units, name, activation=None):
        return keras.layers.Dense(units, activation, name=name, dtype=self.dtype_policy)

    def build(self, input_shape):
        if self.built:
            return
        source, target, _ = parts(input_shape, is_shape)
        check_shape("source", source, self.source_symbols)
        check_shape("target", target, self.vocabulary)
        check_length(self.length, target[1])
        features = math.prod(source[2:])
        if self.source_symbols:
            self.read.build(source)
            features = self.embedding
        self.encoder.build((None, source[1], features))
        vector = self.encoder.compute_output_shape((None, source[1], features))
        check_vector(self.encoder, vector)
        width = self.context or vector[-1]
        self.to_context = self._dense(width, "context", "tanh")
        self.to_context.build((None, vector[-1]))
        self.to_context.trainable = not self.frozen
        for i, size in enumerate(keras.tree.flatten(self.decoder.state_size)):
            self.starts.append(self._dense(size, f"start_{i}", "tanh"))
            self.starts[-1].build((None, width))
        self.step_shape = () if self.vocabulary else tuple(target[2:])
        features = self.embedding if self.vocabulary else math.prod(self.step_shape)
        if self.read_back is not None:
            self.read_back.build(target)
        self.decoder.build((None, None, features + width))
        s = self.decoder.compute_output_shape((None, None, features + width))[-1]
        joined = (None, None, s + features + width)
        if self.readout == "maxout":
            self.to_hidden = self._dense(2 * s, "maxout_pairs")
            self.to_hidden.build(joined)
            self.maxout = Maxout(s, dtype=self.dtype_policy)
            joined = (None, None, s)
        self.to_output = self._dense(
            self.vocabulary or features, "output", self.activation
        )
        self.to_output.build(joined)
        if self.augmentation is not None and not self.augmentation.built:
            self.augmentation.build((None, width))
        self.built_on = source, target
        self.built = True
        self.quantize_again()

    def made(self):
        made = [self.read, self.read_back, self.to_context, *self.starts]
        made += [self.to_hidden, self.to_output]
        return [layer for layer in made if layer is not None]

    def call(self, inputs, training=None):
        source, target, labels = parts(inputs)
        c = self.contexts(source)
        if self.frozen and self.augmentation is not None:
            c = augmented(self.augmentation, c, labels, training)
        first = ops.full_like(target[:, :1], self.end if self.vocabulary else 0)
        previous = ops.concatenate([first, target[:, :-1]], axis=1)
        e = self.read_back(previous) if self.vocabulary else self._flat(previous)
        everywhere = ops.zeros_like(e[..., :1]) + c[:, None]
        s = self.decoder(
            ops.concatenate([e, everywhere], axis=-1),
            initial_state=self._as_sizes(self.first_states(c)),
        )
        outputs = self._output(s, e, everywhere)
        if self.vocabulary:
            return outputs
        return ops.reshape(outputs, (*ops.shape(target)[:2], *self.step_shape))

    def contexts(self, source):
        """c of a tensor of sources."""
        if self.source_symbols:
            x = self.read(source)
        else:
            x = self._flat(source)
            x = x if self.read is None else self.read(x)
        return self.to_context(self.encoder(x))

    def first_states(self, c):
        """s_0, a tuple of tensors."""
        return tuple(start(c) for start in self.starts)

    def _as_sizes(self, states):
        """States in the structure that the decoder's layer has them in."""
        sizes = [
            [*size] if isinstance(size, list | tuple) else size
            for size in self.decoder.state_size
        ]
        return keras.tree.pack_sequence_as(sizes, [*states])

    def step(self, c, previous, states):
        """(o_t, s_t) of one step; `previous` is y_(t-1), `states` a tuple."""
        e = self.read_back(previous) if self.vocabulary else previous
        joined = ops.concatenate([e, c], axis=-1)
        s, states = self.decoder.cell(joined, self._as_sizes(states))
        return self._output(s, e, c), tuple(keras.tree.flatten(states))

    def _flat(self, values):
        """Real values (batch, time, ...) with one axis for what a step has."""
        shape = (*ops.shape(values)[:2], math.prod(values.shape[2:]))
        return ops.cast(ops.reshape(values, shape), self.compute_dtype)

    def _output(self, s, e, c):
        a = ops.concatenate([s, e, c], axis=-1)
        if self.to_hidden is not None:
            a = self.maxout(self.to_hidden(a))
        return self.to_output(a)

    @property
    def input_dtype(self):
        """What an exported model takes, where it takes one input."""
        symbols = self.vocabulary and self.source_symbols
        return "int32" if symbols else super().input_dtype

    def compute_mask(self, inputs, previous_mask=None):
        """Which steps of the target are no padding; None where all are."""
        target = parts(inputs)[1]
        if self.vocabulary:
            return ops.not_equal(target, 0)
        if self.mask_value is None:
            return None
        axes = tuple(range(2, len(target.shape)))
        return ops.any(ops.not_equal(target, self.mask_value), axis=axes)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        # On JAX `fit` hands over values that have lost the mask of the outputs.
        mask = self.compute_mask(x)
        if mask is not None:
            keras_private.set_mask(y_pred, mask)
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def compute_output_shape(self, input_shape):
        target = parts(input_shape, is_shape)[1]
        return (*target[:2], self.vocabulary) if self.vocabulary else tuple(target)

    def freeze_encoder(self):
        """Begin the second phase: the context is left as it is, and augmented.

        Call `compile` next, as after every change of what is trained.
        """
        for layer in (self.read, self.encoder, self.to_context):
            if layer is not None:
                layer.trainable = False
        self.frozen = True
        self.compiled = False

    def figures(self, run):
        """Written sequences beside their targets; the contexts in two dimensions."""
        return encoder_decoder_figures.figures(self, run)

    def get_config(self):
        save = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "encoder": save(self.encoder),
            "decoder": save(self.decoder),
            "vocabulary": self.vocabulary,
            "source_vocabulary": self.source_vocabulary,
            "embedding": self.embedding,
            "context": self.context,
            "readout": self.readout,
            "length": self.length,
            "end": self.end,
            "activation": None
            if self.activation is keras.activations.linear
            else keras.activations.serialize(self.activation),
            "mask_value": self.mask_value,
            "augmentation": save(self.augmentation),
            "frozen": self.frozen,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        for name in ("encoder", "decoder", "augmentation"):
            config[name] = keras.saving.deserialize_keras_object(
                config[name], custom_objects=custom_objects
            )
        return super().from_config(config)
