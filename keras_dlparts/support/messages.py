"""What an exception of Keras or a backend says, without what only they need."""

import re


def own_words(error):
    """An exception's own words, without Keras' and the backend's appendices."""
    text = str(error).split("\n\nArguments received by")[0]
    text = text.split("Exception encountered: ")[-1].strip()
    text = re.sub(r"^Exception encountered when calling .*?\n+", "", text)
    text = re.sub(r"\x1b\[[0-9;]*m|\{\{.*?\}\} | \[Op:\w+\]( name:)?", "", text)
    return text.strip() or type(error).__name__
