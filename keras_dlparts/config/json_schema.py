"""The JSON Schema of configs, from the parts' source; imports no backend."""

import ast

from keras_dlparts import distribute
from keras_dlparts.config import part_schemas
from keras_dlparts.config.schema import Config

_SPACE = {"$ref": "#/$defs/Space"}
_RANGE = {
    "min": {"type": "number", "description": "The smallest value."},
    "max": {"type": "number", "description": "The largest value."},
    "step": {
        "type": "number",
        "description": "Between two values: a summand, with `scale: log` a factor.",
    },
    "scale": {
        "anyOf": [
            {"const": "linear", "description": "all values alike"},
            {"const": "log", "description": "all magnitudes alike; min is above 0"},
        ],
        "default": "linear",
    },
}
_SEVERAL = {"type": "array", "minItems": 1}
_DEFAULT = {"description": "What plain training takes."}
# What may be searched over: what it is, and which keys it has.
_SEARCHES = {
    "float": ("a number from min to max", _RANGE),
    "int": ("a whole number from min to max", _RANGE),
    "choice": ("one of the values", {"values": _SEVERAL}),
    "bool": ("true or false", {}),
    "one_of": ("one of the parts under `of:`", {"of": _SEVERAL}),
}
_REPEAT = {
    "title": "repeat",
    "description": "Layers repeated a number of times.",
    "type": "object",
    "required": ["repeat", "of"],
    "properties": {
        "repeat": {
            "description": "How many times.",
            "anyOf": [{"type": "integer"}, _SPACE],
        },
        "of": {
            "description": "The layers.",
            "type": "array",
            "items": {"$ref": "#/$defs/Layer"},
        },
    },
    "additionalProperties": False,
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
    defs, sections = schema["$defs"], schema["properties"]
    for fields in (sections, *(each["properties"] for each in defs.values())):
        for field in fields.values():
            field.pop("title", None)  # the key again; that of the section says more
            # What an editor may write for the user: no null, and no whole section.
            if field.get("default") is None or isinstance(field["default"], dict):
                field.pop("default", None)
    schema |= {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "keras_dlparts config",
    }
    defs |= part_schemas.definitions() | {"Space": _space(), "Repeat": _REPEAT}
    defs["Layer"] = {"anyOf": [{"$ref": "#/$defs/layers"}, {"$ref": "#/$defs/Repeat"}]}
    layers = {"type": "array", "items": {"$ref": "#/$defs/Layer"}, "minItems": 1}
    model = [layers, {"$ref": "#/$defs/models"}]
    defs["Model"] = {"anyOf": [*model, part_schemas.search({"$ref": "#/$defs/Model"})]}
    sections["model"]["$ref"] = "#/$defs/Model"
    for section, kind in _SECTIONS.items():
        field = sections[section]
        part = {"$ref": f"#/$defs/{kind}"}
        if field.get("type") == "array":
            field["items"] = part
        else:
            none = [] if section == "optimizer" else [{"type": "null"}]
            field["anyOf"] = [part, *none]
    strategies = {"enum": [*distribute.NAMES]}
    sections["distribute"]["anyOf"] = [strategies, {"$ref": "#/$defs/Distribute"}]
    sections["distribute"].pop("$ref")
    for name in distribute.NAMES:
        for option, default in distribute.options(name).items():
            defs["Distribute"]["properties"][option] = _option(default)
    defs["Distribute"]["additionalProperties"] = False
    for section in ("Compile", "Fit", "Pretrain"):
        for field in defs[section]["properties"].values():
            _searched(field)
    return schema


def _searched(field):
    """Let a field be searched over too. Its words stay where editors look for them."""
    told = {k: field.pop(k) for k in ("description", "default") if k in field}
    alternatives = field.pop("anyOf", None) or [dict(field)]
    field.clear()
    field |= told | {"anyOf": [*alternatives, _SPACE]}


def _space():
    """A searched value: `search` decides what the other keys are."""
    choices, conditions = [], []
    for name, (words, keys) in _SEARCHES.items():
        choices.append({"const": name, "description": words})
        known = {"search": True} | keys | {"default": _DEFAULT}
        conditions.append(
            {
                "if": {"properties": {"search": {"const": name}}},
                "then": {
                    "properties": known,
                    "required": [k for k in keys if k not in ("scale", "step")],
                    "additionalProperties": False,
                },
            }
        )
    return {
        "title": "search",
        "type": "object",
        "required": ["search"],
        "properties": {"search": {"anyOf": choices}},
        "allOf": conditions,
    }


def _option(default):
    """What an option of a strategy takes, as far as its default tells."""
    try:
        return {"default": ast.literal_eval(default)} if default else {}
    except (ValueError, SyntaxError):
        return {}
