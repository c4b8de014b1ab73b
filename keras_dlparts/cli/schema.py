"""`dlparts schema`: the JSON Schema of configs."""

import json


def schema():
    """The JSON Schema of configs, for editors that complete and check YAML."""
    from keras_dlparts.config.json_schema import json_schema

    print(json.dumps(json_schema(), separators=(",", ":")))
