"""`--set model[1].rate=0.3`: one value of a config overridden from outside."""

from keras_dlparts.config import read, schema
from keras_dlparts.config.errors import ConfigError

_HOW = "write --set path=value, as in optimizer.learning_rate=3e-4"


def reached(values, path):
    """How many steps of a path the values have."""
    for count, step in enumerate(path):
        if isinstance(values, dict):
            found = step in values
        else:
            found = isinstance(values, list) and isinstance(step, int)
            found = found and 0 <= step < len(values)
        if not found:
            return count
        values = values[step]
    return len(path)


def as_list(sets):
    """The texts of `sets` as a list of its own; one text alone is refused."""
    if isinstance(sets, str):
        raise TypeError(
            "`sets` must be a list of texts `path=value`. Received: a text alone, "
            f"sets={sets!r}. Write sets=[{sets!r}]"
        )
    return [*sets]


def override(document, text):
    """Apply one `path=value` to a document; what is wrong becomes a problem."""
    place = f"--set {text}"
    path, equals, value = text.partition("=")
    steps = path.strip().replace("[", ".").replace("]", "").split(".")
    if not equals or not all(steps):
        return _refuse(document, place, (), _HOW)
    try:
        value = read.parse_value(value)
    except ConfigError as error:
        return _refuse(document, place, (), error.problems[0].message)
    at, here = document.values, ()
    for n, step in enumerate(steps):
        if isinstance(at, list):
            step = int(step) if step.isdigit() else step
            if not reached(at, (step,)):
                message = f"there is no item {step!r}; the list has {len(at)}"
                return _refuse(document, place, here, message)
        elif not isinstance(at, dict):
            return _refuse(
                document, place, here, "is a plain value, with nothing in it"
            )
        here = (*here, step)
        if n < len(steps) - 1:
            if not reached(at, (step,)) and _is_list(here):
                message = f"there is no list yet. Give it whole: --set '{step}=[...]'"
                return _refuse(document, place, here, message)
            if not reached(at, (step,)) or isinstance(at[step], str):
                at[step] = _opened(at, step, here)
            at = at[step]
    at[step] = value
    for places in (document.keys, document.marks):
        for stale in [known for known in places if known[: len(here)] == here]:
            del places[stale]
        places[here] = place
    return None


def _is_list(path):
    """Whether a section of a config is a list, where it is left out."""
    known = schema.Config.model_fields.get(path[0]) if len(path) == 1 else None
    return known is not None and isinstance(known.default, list)


def _opened(at, step, path):
    """A bare name or an absent section, as a dict that can be set into."""
    known = schema.Config.model_fields.get(step) if len(path) == 1 else None
    name = at[step] if reached(at, (step,)) else known and known.default
    return {"use": name} if isinstance(name, str) else {}


def _refuse(document, place, path, message):
    document.marks[path] = place
    document.problem(path, message)
