"""The devices that a strategy is to use: looked up, or made of the processor."""

from keras_dlparts import backend
from keras_dlparts.support.checks import check_count


def check_backend(name, *wanted):
    """Raise unless one of the wanted backends runs."""
    if backend.name() not in wanted:
        raise ValueError(
            f"{name!r} needs the backend {' or '.join(wanted)}. Received: "
            f"{backend.name()}. Set KERAS_BACKEND={wanted[0]} before Python starts, or "
            "choose another strategy"
        )


def named(devices, kinds, split):
    """The names of the devices that an option means.

    Args:
        devices: None for all of the fastest kind, an integer for that many of them,
            or a list of names.
        kinds: {kind: function that lists its devices' names}, the fastest first, the
            processor last.
        split: called with a number, makes the processor that many logical devices, if
            the backend has not started yet.
    """
    if isinstance(devices, list | tuple):
        return _listed(devices, [n for names in kinds.values() for n in names()])
    if devices is not None:
        check_count("devices", devices)
    *fast, (_, processors) = kinds.items()
    kind, found = next(
        ((kind, names()) for kind, names in fast if names()), (None, None)
    )
    if found is None:
        if devices is not None:
            split(devices)
        kind, found = "processor", processors()
    count = len(found) if devices is None else devices
    if count > len(found):
        message = f"there are fewer devices. Received: devices={devices}; there "
        message += f"{'is' if len(found) == 1 else 'are'} {len(found)} ({kind})"
        if kind == "processor":
            message += ", and it was in use before it could be split: make the strategy"
            message += " before any tensor"
        raise ValueError(message)
    return found[:count]


def _listed(devices, there):
    folded = {name.lower(): name for name in there}
    found = {folded.get(str(name).lower()) for name in devices}
    if None in found or not found or len(found) < len(devices):
        raise ValueError(
            "`devices` must list devices that are there, each once. Received: "
            f"{list(devices)}; there are: {', '.join(there)}"
        )
    return [folded[name.lower()] for name in devices]
