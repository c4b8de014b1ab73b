"""What is wrong with a config: every problem at once, each with its place."""

import difflib
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing to mend: where (`at` is the line and column, if known), and what."""

    file: str
    at: tuple
    path: str
    message: str

    @property
    def place(self):
        return ":".join(map(str, filter(None, [self.file, *self.at])))

    def __str__(self):
        head = "  ".join(filter(None, [self.place, self.path]))
        body = "\n".join(f"  {line}" for line in self.message.splitlines())
        return f"{head}\n{body}" if head else self.message


class ConfigError(ValueError):
    """A config that cannot be used; `problems` lists everything found in it."""

    def __init__(self, problems):
        self.problems = sorted(dict.fromkeys(problems), key=lambda p: (p.at, p.path))
        super().__init__("\n".join(map(str, self.problems)))


def path_text(path):
    """("model", 0, "use") -> "model[0].use"."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else str(step)
    return text


def shown(value):
    """A received value as a config writes it, cut to a line."""
    if value is None or isinstance(value, bool):
        return {None: "nothing (null)", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


_SHORT = {"lr": "learning_rate", "wd": "weight_decay", "bs": "batch_size"}


def did_you_mean(name, known):
    """The closest known names as a question, or what is accepted at all."""
    known = sorted(map(str, known))
    name = _SHORT.get(name, name) if isinstance(name, str) else name
    close = difflib.get_close_matches(str(name), known, 1, 0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"accepted: {', '.join(known)}"
