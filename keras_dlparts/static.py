"""Read what a class or function says about itself without importing it.

The source is found with the import system's finders (editable installs
included) and read as a syntax tree, so `dlparts show` answers at once and no
backend is loaded.
"""

import ast
import functools
import re
import sys
from dataclasses import dataclass

from keras_dlparts.backend.keras_private import BASE_OPTIMIZER


@dataclass(frozen=True)
class Description:
    """What a source file says of one class or function."""

    doc: str
    module_doc: str
    arguments: tuple[tuple[str, str | None], ...]  # (name, default's source or None)
    open_ended: bool  # whether it takes arguments that the source does not tell
    path: str


@functools.cache
def _spec(module):
    """The module's spec, found without importing its parents."""
    path = None
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        name = ".".join(parts[:end])
        spec = None
        for finder in sys.meta_path:
            if find := getattr(finder, "find_spec", None):
                spec = find(name, path)
            if spec:
                break
        if spec is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        path = spec.submodule_search_locations
    return spec


@functools.cache
def _tree(module):
    origin = _spec(module).origin
    if not origin or not origin.endswith(".py"):
        raise ModuleNotFoundError(f"{module!r} has no Python source", name=module)
    with open(origin, "rb") as file:
        return ast.parse(file.read(), origin), origin


def _source_module(statement, module):
    """The absolute module an `from x import y` statement names."""
    if not statement.level:
        return statement.module
    package = module.split(".")
    is_package = _spec(module).submodule_search_locations is not None
    drop = statement.level - is_package
    package = package[: len(package) - drop] if drop else package
    return ".".join([*package, *filter(None, [statement.module])])


def imported_names(module):
    """The names that a module imports from elsewhere, as {name: (module, name)}."""
    tree, _ = _tree(module)
    return {
        alias.asname or alias.name: (_source_module(node, module), alias.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def _definition(module, name):
    """Follow imports to the syntax node that defines a name."""
    for _ in range(10):
        tree, origin = _tree(module)
        for node in tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
                return node, module, origin
        imports = imported_names(module)
        if name not in imports:
            break
        module, name = imports[name]
    raise LookupError(f"{name!r} is not defined in {module!r} by a plain statement")


def _arguments(function):
    a = function.args
    positional = [*a.posonlyargs, *a.args]
    defaults = [None] * (len(positional) - len(a.defaults)) + a.defaults
    pairs = [*zip(positional, defaults, strict=True)]
    pairs += [*zip(a.kwonlyargs, a.kw_defaults, strict=True)]
    return [
        (arg.arg, None if default is None else ast.unparse(default))
        for arg, default in pairs
        if arg.arg not in ("self", "cls")
    ], a.kwarg is not None


def handed_on(tree):
    """What an `__init__` gives its base: keywords, how many by position, **kwargs?"""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "super().__init__":
            names = {keyword.arg for keyword in node.keywords}
            return names - {None}, len(node.args), None in names
    return set(), 0, True


def _home(base, module):
    """The module and the name that a base class' expression means."""
    head, *rest = ast.unparse(base).split(".")
    if not rest:
        return module, head
    imported = imported_names(module).get(head, (head,))
    return ".".join([*imported, *rest[:-1]]), rest[-1]


def _class_arguments(node, module):
    """Arguments of the nearest `__init__`, and of its bases' while **kwargs flow on.

    Keras' base layer ends the walk: its arguments (name, dtype, ...) are every
    layer's and would only hide its own. Also whether a base was not found.
    """
    own, open_ended, given, count = [], True, set(), 0
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            own, open_ended = _arguments(item)
            given, count, forwards = handed_on(item)
            open_ended = open_ended and forwards
    lost = False
    for base in node.bases if open_ended else []:
        base_module, name = _home(base, module)
        if name in ("Layer", "Model", "ABC"):
            continue
        if name == "Optimizer":  # whose bases depend on the backend
            base_module, name = BASE_OPTIMIZER
        try:
            base_node, base_module, _ = _definition(base_module, name)
        except (LookupError, ImportError, SyntaxError):
            lost = True
            continue
        if isinstance(base_node, ast.ClassDef):
            inherited, also_lost = _class_arguments(base_node, base_module)
            lost = lost or also_lost
            known = {name for name, _ in own} | given
            known |= {name for name, _ in inherited[:count]}
            own += [pair for pair in inherited if pair[0] not in known]
    return own, lost


def summary(target):
    """The first line of a docstring; mostly without parsing a module, to be quick."""
    module, _, name = target.partition(":")
    home, called = imported_names(module).get(name, (module, name))
    origin = _spec(home).origin
    if origin and origin.endswith(".py"):
        with open(origin, encoding="utf-8") as file:
            start = rf'^(?:class|def) {called}\b[^"]*:\n\s+"""([^\n]+?)(?:"""|\n)'
            found = re.search(start, file.read(), re.MULTILINE)
        if found:
            return found[1]
    return describe(target).doc.partition("\n")[0]


def describe(target):
    """Describe `"module:name"` from its source. Raises LookupError if it cannot."""
    module, _, name = target.partition(":")
    node, module, origin = _definition(module, name)
    if isinstance(node, ast.ClassDef):
        arguments, open_ended = _class_arguments(node, module)
    else:
        arguments, open_ended = _arguments(node)
    return Description(
        # Keras fills such templates in when it is imported.
        doc=re.sub(r"\n *\{\{\w+\}\}", "", ast.get_docstring(node) or ""),
        module_doc=ast.get_docstring(_tree(module)[0]) or "",
        arguments=tuple(arguments),
        open_ended=open_ended,
        path=origin,
    )
