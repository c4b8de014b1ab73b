"""The README as PyPI shows it, where links between files of the repository are whole.

Everything else is in pyproject.toml.
"""

import re
import tomllib
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).parent
PROJECT = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]
FILES, RAW = (
    PROJECT["urls"]["Repository"] + f"/{kind}/main/" for kind in ("blob", "raw")
)
README = (HERE / "README.md").read_text(encoding="utf-8")

# A picture must be the file itself, and not the page about it.
README = re.sub(r"(!\[[^\]]*\]\()(?![a-z]+:)", rf"\1{RAW}", README)
# Not where a scheme, as in `https:`, begins what is linked to.
README = re.sub(r"\]\(#", f"]({FILES}README.md#", README)
README = re.sub(r"\]\((?![a-z]+:)", f"]({FILES}", README)

setup(long_description=README, long_description_content_type="text/markdown")
