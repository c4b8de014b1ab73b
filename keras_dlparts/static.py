"""Read what a class or function says about itself without importing it.

The source is found by the import system's finders, which know editable installs
too, and read as a syntax tree. So `dlparts show` answers at once: no backend is
imported.
"""

import ast
import functools
import inspect
import re
import sys
from dataclasses import dataclass, replace

from keras_dlparts.backend.keras_private import BASE_OPTIMIZER


@dataclass(frozen=True)
class Argument:
    """One argument of a class or function, as the source that defines it says."""

    name: str
    default: str | None  # its source; None where the argument is required
    annotation: str | None  # its source, if it has one
    module: str  # where the two stand
    owner: str  # the class or function that defines it
    doc: str = ""  # what that one's `Args:` say of it


@dataclass(frozen=True)
class Description:
    """What a source file says of one class or function."""

    doc: str
    module_doc: str
    parameters: tuple[Argument, ...]
    open_ended: bool  # whether it takes arguments that the source does not tell
    path: str

    @property
    def arguments(self):
        """(name, default's source or None) of each argument."""
        return tuple((one.name, one.default) for one in self.parameters)


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


def _arguments(function, node, module):
    """The arguments of a function, or of a class' `__init__`; and if **kwargs are."""
    a = function.args
    positional = [*a.posonlyargs, *a.args]
    defaults = [None] * (len(positional) - len(a.defaults)) + a.defaults
    pairs = [*zip(positional, defaults, strict=True)]
    pairs += [*zip(a.kwonlyargs, a.kw_defaults, strict=True)]
    docs = argument_docs(ast.get_docstring(node) or "")
    return [
        Argument(
            arg.arg,
            _source(default),
            _source(arg.annotation),
            module,
            node.name,
            docs.get(arg.arg, ""),
        )
        for arg, default in pairs
        if arg.arg not in ("self", "cls")
    ], a.kwarg is not None


def _source(node):
    return None if node is None else ast.unparse(node)


def argument_docs(doc):
    r"""{argument: text} of a docstring's `Args:`, in its order.

    >>> argument_docs("Sums.\n\nArgs:\n    a: Float. The\n        first.\n    b: Text.")
    {'a': 'Float. The first.', 'b': 'Text.'}
    """
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)*)", doc, re.MULTILINE)
    found, name = {}, None
    for line in inspect.cleandoc("\n" + section[1]).splitlines() if section else ():
        head = re.match(r"(\w+)\s*(?:\([^)]*\))?:(.*)", line)
        if head:
            name, line = head[1], head[2]
            found[name] = ""
        if name is not None:
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found


def handed_on(tree):
    """What an `__init__` hands to its base's.

    Returns: the names given as keywords, how many are given by position, and whether
        **kwargs are handed on. Without such a call all of **kwargs count as handed on.
    """
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
    imported = imported_names(module).get(head) or [_renamed(module).get(head, head)]
    return ".".join([*imported, *rest[:-1]]), rest[-1]


def _renamed(module):
    """{name: module} of each `import module as name`."""
    return {
        alias.asname: alias.name
        for node in _tree(module)[0].body
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.asname
    }


def ancestry(expression, module):
    """The (module, name) of a class that an expression means, and of its bases.

    Args:
        expression: a syntax node, as `keras.layers.Layer`.
        module: the module that it stands in.

    What the source does not tell is left out. A class of Keras is named by the module
    that it was taken from, which need not be the one that defines it.
    """
    found, rest = [], [_home(expression, module)]
    while rest:
        module, name = rest.pop(0)
        try:
            home = imported_names(module).get(name, (module, name))
            node, module, _ = _definition(module, name)
        except (LookupError, ImportError, SyntaxError):
            found.append((module, name))
            continue
        # `class Dense(Dense)` leads back to itself.
        if home not in found and isinstance(node, ast.ClassDef):
            rest += [_home(base, module) for base in node.bases]
        found.append(home)
    return found


def _class_arguments(node, module):
    """Arguments of the nearest `__init__`, and of its bases' while **kwargs flow on.

    The arguments of Keras' base layer (name, dtype, ...) are left out: every layer
    has them, and among them its own would be hard to find.

    Returns: the arguments, and whether the source of a base could not be read.
    """
    own, open_ended, given, count = [], True, set(), 0
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            own, open_ended = _arguments(item, node, module)
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
            known = {one.name for one in [*own, *inherited[:count]]} | given
            own += [one for one in inherited if one.name not in known]
    # A class may say of its base's arguments what they are for here.
    docs = argument_docs(ast.get_docstring(node) or "")
    return [replace(one, doc=docs.get(one.name, one.doc)) for one in own], lost


def summary(target: str) -> str:
    """The first line of a part's docstring.

    A search in the text finds nearly all of them, which is quicker than parsing it.
    """
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


def describe(target: str) -> Description:
    """Describe `"module:name"` from its source. Raises LookupError if it cannot."""
    module, _, name = target.partition(":")
    node, module, origin = _definition(module, name)
    if isinstance(node, ast.ClassDef):
        parameters, open_ended = _class_arguments(node, module)
    else:
        parameters, open_ended = _arguments(node, node, module)
    return Description(
        # Keras fills such templates in when it is imported.
        doc=re.sub(r"\n *\{\{\w+\}\}", "", ast.get_docstring(node) or ""),
        module_doc=ast.get_docstring(_tree(module)[0]) or "",
        parameters=tuple(parameters),
        open_ended=open_ended,
        path=origin,
    )
