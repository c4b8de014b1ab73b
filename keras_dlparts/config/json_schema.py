"""The JSON Schema of configs, from the parts' source; imports no backend."""

import ast

from keras_dlparts import distribute, registry, static
from keras_dlparts.config.schema import Config

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
        options |= {o: _argument(d) for o, d in distribute.options(name).items()}
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
        arguments = {name: _argument(default) for name, default in about.arguments}
        variants.append(
            {
                "properties": {"use": use} | _common(kind) | arguments,
                "required": ["use", *(n for n, d in about.arguments if d is None)],
                "additionalProperties": about.open_ended,
            }
        )
    # An alias such as `adam` has many spellings.
    alias = {"pattern": "^([a-z0-9_]+|[A-Z]+)$", "not": {"enum": names}}
    variants.append({"properties": {"use": alias}})
    text = {"type": "string", "anyOf": [{"enum": sorted({*names})}, alias]}
    part = {"type": "object", "required": ["use"], "anyOf": variants}
    return {"anyOf": [text, part, {"$ref": "#/$defs/Space"}]}


def _common(kind):
    """Arguments that all parts of a kind take: every Keras layer's, and `from`."""
    if kind != "layers":
        return {}
    every = static.describe("keras.layers:Layer").arguments
    return {name: _argument(default) for name, default in every} | {"from": {}}


def _argument(default):
    try:
        return {"default": ast.literal_eval(default)} if default else {}
    except (ValueError, SyntaxError):
        return {}
