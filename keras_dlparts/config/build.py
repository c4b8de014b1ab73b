"""A checked experiment -> Keras objects. Errors keep Keras' words and gain the path."""

import re

import keras

from keras_dlparts.config.errors import ConfigError, did_you_mean
from keras_dlparts.config.parts import Call


def construct(document, value):
    """The object a call makes, its argument parts made first; None with a problem."""
    if isinstance(value, list):
        return [construct(document, item) for item in value]
    if not isinstance(value, Call):
        return value
    before = len(document.problems)
    arguments = {k: construct(document, v) for k, v in value.arguments.items()}
    if len(document.problems) > before:
        return None
    try:
        return value.target(**arguments)
    except Exception as error:
        path = _blamed(value, error)
        document.problem(path, f"{value.part.name}: {_message(error)}")
    return None


def _message(error):
    """An exception's own words, without Keras' call-stack appendix."""
    text = str(error).split("\n\nArguments received by")[0].strip()
    text = re.sub(r"^Exception encountered when calling .*?\n+", "", text)
    return re.sub(r"\x1b\[[0-9;]*m", "", text) or type(error).__name__


def _blamed(call, error):
    """The path of the argument that an error's message names, or of the part."""
    for name in call.arguments:
        if re.search(
            rf"`{name}`|\b{name}=|'{name}'|\b{name} (must|should)", str(error)
        ):
            return (*call.path, name)
    return call.path


def build_model(experiment, spec=None):
    """The Keras model, not compiled. `spec` declares the input, if data is given."""
    document = experiment.document
    if isinstance(experiment.model, Call):
        model = construct(document, experiment.model)
        document.raise_problems()
        if spec is not None and not model.built:
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
        shapes = keras.tree.map_structure(lambda t: t.shape, arguments)
        document.problem(
            call.path,
            f"{call.part.name} cannot take an input of shape "
            f"{', '.join(map(str, shapes))}: {_message(error)}",
        )
    return None


class _Graph:
    """Layers in order, each on what came before or on what `from:` names."""

    def __init__(self, experiment, spec):
        self.document = experiment.document
        self.calls = experiment.model
        self.name = experiment.settings.name
        self.tensors, self.unused = {}, {}
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
                self.inputs = output = layer
                self.tensors["input"] = layer
            else:
                output = self._apply(call, layer)
            if output is None:
                self.document.raise_problems()
            name = call.arguments.get("name")
            if name in self.tensors:
                self.document.problem((*call.path, "name"), f"{name!r} is taken")
            if name:
                self.tensors[name] = output
            if i < len(self.calls) - 1:
                self.unused[id(output)] = (call, output)
            self.last = output
        for call, _ in self.unused.values():
            message = "its output goes nowhere; name it in a later layer's `from:`"
            self.document.problem(call.path, message)
        self.document.raise_problems()
        return keras.Model(self.inputs, self.last, name=self.name)

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
        for tensor in keras.tree.flatten(source):
            self.unused.pop(id(tensor), None)
        spread = isinstance(source, list) and _inputs_of(layer) > 1
        return _call(self.document, call, layer, source if spread else [source])

    def _named(self, call):
        names = call.sources if isinstance(call.sources, list) else [call.sources]
        found = []
        for name in names:
            if not isinstance(name, str) or name not in self.tensors:
                known = did_you_mean(name, self.tensors)
                message = f"no earlier layer is named {name!r}; {known}"
                self.document.problem((*call.path, "from"), message)
                return None
            found.append(self.tensors[name])
        return found if isinstance(call.sources, list) else found[0]


def _inputs_of(layer):
    """How many tensors a layer's call must be given (attention takes several)."""
    from keras_dlparts.config.signature import REQUIRED, arguments

    return sum(default is REQUIRED for default in arguments(layer.call).values())


def compile_model(experiment, model):
    """Compile with the config's optimizer, loss and metrics."""
    document = experiment.document
    optimizer = construct(document, experiment.optimizer)
    loss = construct(document, experiment.loss)
    metrics = construct(document, experiment.metrics)
    document.raise_problems()
    model.compile(
        optimizer, loss, metrics=metrics, **experiment.settings.compile.model_dump()
    )
    return model


def check_fit(experiment, model, batch):
    """Try model, loss and metrics on two rows of a batch, so that errors come early."""
    document = experiment.document
    x, y, weight = keras.utils.unpack_x_y_sample_weight(
        keras.tree.map_structure(lambda a: a[:2], batch)
    )
    path = ("model",)
    try:
        prediction = model(x, training=False)
        path = ("loss",)
        if experiment.loss is None and not model.losses:
            document.problem((), "`loss:` is missing, and no layer adds a loss")
            document.raise_problems()
        if experiment.loss is not None:
            if y is None:
                document.problem(path, "the data has no targets for a loss to compare")
                document.raise_problems()
            _check_labels(document, experiment, batch, prediction)
            model.compute_loss(x, y, prediction, weight, training=False)
        path = ("metrics",)
        model.compute_metrics(x, y, prediction, weight)
        model.reset_metrics()
    except ConfigError:
        raise
    except Exception as error:
        shapes = f"predictions {tuple(prediction.shape)}" if path != ("model",) else ""
        if shapes and y is not None:
            targets = keras.tree.map_structure(lambda a: tuple(a.shape), y)
            shapes = f" ({shapes}, targets {targets}, for two rows)"
        document.problem(path, f"does not fit the data{shapes}: {_message(error)}")
    document.raise_problems()


def _check_labels(document, experiment, batch, prediction):
    """A class beyond the output's width trains to NaN without a word."""
    if experiment.loss.part.name != "keras.SparseCategoricalCrossentropy":
        return
    classes, highest = prediction.shape[-1], int(batch[1].max())
    if highest >= classes:
        document.problem(
            ("loss",),
            f"the data has the label {highest}, but the model ends in {classes} "
            f"outputs; classes count from 0, so {highest + 1} are needed",
        )
        document.raise_problems()
