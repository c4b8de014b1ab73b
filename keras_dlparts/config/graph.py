"""The layers of a config, connected: a Keras model, not yet compiled."""

import keras

from keras_dlparts.config.calls import Call
from keras_dlparts.config.construct import construct, shapes_of
from keras_dlparts.config.errors import did_you_mean, shown
from keras_dlparts.config.signature import REQUIRED, arguments
from keras_dlparts.support.messages import own_words


def build_model(experiment, spec=None):
    """The Keras model, not compiled. `spec` declares the input, if data is given."""
    document = experiment.document
    if isinstance(experiment.model, Call):
        model = construct(document, experiment.model)
        document.raise_problems()
        own = experiment.own_model is not None  # it is built on a batch, as `fit` does
        if spec is not None and not model.built and not own:
            _call(document, experiment.model, model, [_inputs(spec)])
    else:
        model = _Graph(experiment, spec).model()
    document.raise_problems()
    return model


def _inputs(spec, name="input"):
    if isinstance(spec, dict):
        return {key: _inputs(item, key) for key, item in spec.items()}
    return keras.Input(spec.shape, dtype=spec.dtype, name=name)


def _call(document, call, layer, arguments):
    try:
        return layer(*arguments)
    except Exception as error:
        shapes = ", ".join(map(str, map(shapes_of, arguments)))
        message = f"{call.part.name} cannot take an input of shape {shapes}: "
        document.problem(call.path, message + own_words(error))
    return None


class _Graph:
    """Layers in order, each on what came before or on what `from:` names."""

    def __init__(self, experiment, spec):
        self.document = experiment.document
        self.calls = experiment.model
        self.name = experiment.settings.name
        self.tensors, self.unused = {}, []
        self.inputs = self.last = None
        if spec is not None and not self._starts_with_input():
            self.inputs = self.last = _inputs(spec)
            named = self.inputs if isinstance(spec, dict) else {"input": self.inputs}
            self.tensors |= named

    def _starts_with_input(self):
        return self.calls[0] is not None and self.calls[0].part.name == "keras.Input"

    def model(self):
        layers = [construct(self.document, call) for call in self.calls]
        self.document.raise_problems()
        for i, (call, layer) in enumerate(zip(self.calls, layers, strict=True)):
            if isinstance(layer, keras.KerasTensor):
                if self.last is not None:
                    message = "an Input can only be the first layer"
                    self.document.problem(call.path, message)
                    self.document.raise_problems()
                self.inputs = output = layer
                self.tensors["input"] = layer
            else:
                output = self._apply(call, layer)
            if output is None:
                self.document.raise_problems()
            name = call.arguments.get("name")
            if name in self.tensors:
                message = f"another layer, or the input, has the name {name!r}"
                self.document.problem((*call.path, "name"), message)
            if name:
                self.tensors[name] = output
            if i < len(self.calls) - 1:
                self.unused.append((call, output))
            self.last = output
        for call, _ in self.unused:
            message = "its output goes nowhere; give it a `name:` and put that into "
            message += "a later layer's `from:`"
            self.document.problem(call.path, message)
        self.document.raise_problems()
        try:
            return keras.Model(self.inputs, self.last, name=self.name)
        except ValueError as error:  # two layers of one name
            self.document.problem(("model",), own_words(error))
        return None

    def _apply(self, call, layer):
        source = self.last
        if call.sources is not None:
            source = self._named(call)
        if source is None:
            if call.sources is None:
                message = "the input's shape is unknown: give `data:`, or "
                message += "`{use: Input, shape: [...]}` as the first layer"
                self.document.problem(call.path, message)
            return None
        self.unused = [
            (earlier, output)
            for earlier, output in self.unused
            if not _tensors(output) & _tensors(source)
        ]
        spread = isinstance(source, list) and _inputs_of(layer) > 1
        return _call(self.document, call, layer, source if spread else [source])

    def _named(self, call):
        names = call.sources if isinstance(call.sources, list) else [call.sources]
        if not names:
            message = "the name of an earlier layer is expected, or a list of several"
            self.document.problem((*call.path, "from"), message)
            return None
        found = []
        for name in names:
            if not isinstance(name, str) or name not in self.tensors:
                known = did_you_mean(name, self.tensors)
                message = f"no earlier layer is named {shown(name)}; {known}"
                self.document.problem((*call.path, "from"), message)
                return None
            found.append(self.tensors[name])
        return found if isinstance(call.sources, list) else found[0]


def _tensors(structure):
    return {id(tensor) for tensor in keras.tree.flatten(structure)}


def _inputs_of(layer):
    """How many tensors a layer's call must be given (attention takes several)."""
    return sum(default is REQUIRED for default in arguments(type(layer).call).values())
