"""The JSON Schema of configs, from the parts' source; imports no backend."""

import ast
import functools

from keras_dlparts import distribute, registry, static
from keras_dlparts.config import types
from keras_dlparts.config.schema import Config
from keras_dlparts.config.signature import REQUIRED, type_of

_SPACE = {
    "description": "A searched value; plain training takes its default.",
    "type": "object",
    "required": ["search"],
    "properties": {
        "search": {"enum": ["float", "int", "choice", "bool", "one_of"]},
        "min": {"type": "number"},
        "max": {"type": "number"},
        "step": {"type": "number"},
        "scale": {"enum": ["linear", "log"]},
        "values": {"type": "array", "minItems": 1},
        "of": {"type": "array", "minItems": 1},
        "default": {},
    },
    "additionalProperties": False,
}
_REPEAT = {
    "description": "Layers repeated a number of times.",
    "type": "object",
    "required": ["repeat", "of"],
    "properties": {
        "repeat": {"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/Space"}]},
        "of": {"type": "array", "items": {"$ref": "#/$defs/Layer"}},
    },
    "additionalProperties": False,
}
_MODEL = {
    "description": "Layers in order, or one blueprint of the kind models.",
    "anyOf": [
        {"type": "array", "items": {"$ref": "#/$defs/Layer"}, "minItems": 1},
        {"$ref": "#/$defs/models"},
    ],
}
_SECTIONS = {
    "data": "data",
    "optimizer": "optimizers",
    "loss": "losses",
    "metrics": "metrics",
    "callbacks": "callbacks",
}


def json_schema():
    """The schema of a whole config, every installed part described."""
    schema = Config.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "keras_dlparts config"
    defs = schema["$defs"]
    defs["Space"], defs["Repeat"] = _SPACE, _REPEAT
    for kind in registry.KINDS:
        defs[kind] = _kind_schema(kind)
    schema["properties"]["model"] = _MODEL
    defs["Layer"] = {"anyOf": [{"$ref": "#/$defs/layers"}, {"$ref": "#/$defs/Repeat"}]}
    for section, kind in _SECTIONS.items():
        field = schema["properties"][section]
        part = {"$ref": f"#/$defs/{kind}"}
        if field.get("type") == "array":
            field["items"] = part
        else:
            none = [] if section == "optimizer" else [{"type": "null"}]
            field["anyOf"] = [part, *none]
    schema["properties"]["distribute"] = {
        "anyOf": [{"enum": [*distribute.NAMES]}, {"$ref": "#/$defs/Distribute"}]
    }
    options = defs["Distribute"]["properties"]
    for name in distribute.NAMES:
        options |= {o: _option(d) for o, d in distribute.options(name).items()}
    defs["Distribute"]["additionalProperties"] = False
    for section in ("Compile", "Fit", "Pretrain"):
        for name, field in defs[section]["properties"].items():
            defs[section]["properties"][name] = {
                "anyOf": [field, {"$ref": "#/$defs/Space"}]
            }
    return schema


def _kind_schema(kind):
    """A part of a kind: its name, or an object with its arguments."""
    variants, names = [], []
    for full in registry.names(kind):
        short = full.partition(".")[2]
        names += [full, short]
        try:
            about = static.describe(registry.find(kind, full).target)
        except (registry.RegistryError, ImportError, LookupError, OSError, SyntaxError):
            variants.append({"properties": {"use": {"enum": [full, short]}}})
            continue
        use = {"enum": [short, full], "description": about.doc.partition("\n")[0]}
        own = {one.name: _argument(one, kind) for one in about.parameters}
        # An editor offers the first ones first.
        common = {k: v for k, v in _common(kind).items() if k not in own}
        required = [one.name for one in about.parameters if one.default is None]
        variants.append(
            {
                "properties": {"use": use} | own | common,
                "required": ["use", *required],
                "additionalProperties": about.open_ended,
            }
        )
    # Aliases such as `adam` and `he_normal` have too many spellings to list.
    alias = {"pattern": "^([a-z0-9_]+|[A-Z]+)$", "not": {"enum": names}}
    variants.append({"properties": {"use": alias}})
    text = {"type": "string", "anyOf": [{"enum": sorted({*names})}, alias]}
    part = {"type": "object", "required": ["use"], "anyOf": variants}
    return {"anyOf": [text, part, {"$ref": "#/$defs/Space"}]}


@functools.cache
def _common(kind):
    """Arguments that all parts of a kind take: every Keras layer's, and `from`."""
    if kind != "layers":
        return {}
    every = static.describe("keras.layers:Layer").parameters
    return {one.name: _argument(one, kind) for one in every} | {"from": {}}


def _argument(argument, kind):
    """What an argument of a part takes, in a config that may search over it."""
    taken, default = type_of(argument)
    if kind == "optimizers" and argument.name == "learning_rate":
        taken = types.of_rate(taken)
    found = {"description": argument.doc} if argument.doc else {}
    if default not in (REQUIRED, ...):
        found["default"] = default
    inner = taken.schema()
    if not inner:
        return found
    several = [*inner.get("anyOf", [inner]), {"$ref": "#/$defs/Space"}]
    if taken.callable:  # a layer may stand for a function
        several.append({"type": "object", "required": ["use"]})
    if types.is_scalar(default) and taken.fault(default):
        several.append({"const": default})  # good, whatever the annotation says
    return found | {"anyOf": several}


def _option(default):
    """What an option of a strategy takes, as far as its default tells."""
    try:
        return {"default": ast.literal_eval(default)} if default else {}
    except (ValueError, SyntaxError):
        return {}
