"""Print the lowest versions that pyproject.toml allows, as a constraints file for pip.

python tests/floors.py > floors.txt && pip install -c floors.txt -e '.[cpu,dev]'
"""

import itertools
import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
# name, perhaps with extras, and the one version that the requirement begins with.
REQUIREMENT = re.compile(r"([\w.-]+)(?:\[[\w,-]+\])?>=([\w.]+)")


def floors(project):
    """{name: lowest version} over all requirements of a `[project]` table."""
    found = {}
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    for requirement in itertools.chain(*groups):
        match = REQUIREMENT.fullmatch(requirement.replace(" ", ""))
        if not match:
            raise ValueError(
                "A requirement must read `name>=version`, so that its floor can be "
                f"tested. Received: {requirement!r}"
            )
        name, version = match.groups()
        if found.setdefault(name, version) != version:
            raise ValueError(
                f"A distribution must have one floor. Received: {name}>={found[name]} "
                f"and {requirement!r}"
            )
    return found


if __name__ == "__main__":
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    for name, version in floors(project).items():
        print(f"{name}=={version}")
