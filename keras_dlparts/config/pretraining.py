"""The section `pretrain:`, checked against the method `pretrain` of the model.

What that method takes besides the data and `fit` are the options of the section, with
the annotations as their rules: one mechanism for all models that learn layer by layer.
"""

import inspect

import pydantic

from keras_dlparts.config import schema
from keras_dlparts.config.calls import Ready

# What training gives the method, and the names of the section itself.
_GIVEN = ("self", "x", "batch_size", "fit", *schema.Pretrain.model_fields)
# Configs that were resolved by earlier versions have these beside any model.
_EARLIER = {
    "learning_rate": (float, 0.1),
    "momentum": (float, 0.5),
    "k": (int, 1),
    "persistent": (bool, False),
    "data_init": (bool, False),
}


def checked(given, model):
    """The section with the model's options, every default filled in.

    Args:
        given: The section's values, a dict.
        model: What the config has for a model: a list of calls, a call, or None.

    Raises pydantic's ValidationError.
    """
    options = _options(model)
    made = section_of(model).model_validate(given)
    if options:
        return made
    return schema.Pretrain(epochs=made.epochs, samples=made.samples)


def section_of(model):
    """The schema of the section, with the options that a model takes."""
    section = pydantic.create_model(
        "Pretrain", __base__=schema.Pretrain, **(_options(model) or _EARLIER)
    )
    section.model_config["extra"] = "forbid"
    section.model_rebuild(force=True)
    return section


def _options(model):
    """{name: (annotation, default)} of what the model's `pretrain` takes."""
    target = getattr(model, "target", None)
    if isinstance(model, Ready):
        target = type(model.value)
    method = getattr(target, "pretrain", None)
    if method is None:
        return {}
    return {
        name: (one.annotation, one.default)
        for name, one in inspect.signature(method).parameters.items()
        if name not in _GIVEN and one.kind is not one.VAR_KEYWORD
    }
