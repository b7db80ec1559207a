"""Names for classes, the suite's own and other people's: a name, and "module:Class". Nothing is imported before use."""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.machinery import PathFinder
from typing import Any

from .errors import InvalidInput, unknown_name

PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
FOREIGN_NAME = re.compile(r"[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*", re.ASCII)
OWN_NAMESPACE = "palaestra"
_allowed: ContextVar[bool] = ContextVar("allowed", default=False)


class Registry:
    """What goes by a name: the suite's own classes, and those that others register.

    Wherever a name is accepted, "module:Class" is too. A name of others carries a namespace of theirs, such as
    "acme/maze", so it never collides with one of the suite's.

    Args:
        what: for messages, such as "agent".
        package: that the own entries' modules are below, such as "palaestra.agents".
        own: "module:Class", relative to the package, by name.
    """

    def __init__(self, what: str, package: str, own: Mapping[str, str]) -> None:
        self.what = what
        self._own = {name: f"{package}.{target}" for name, target in own.items()}
        self._others: dict[str, str | type] = {}

    def names(self) -> list[str]:
        """All names, the suite's own first."""
        return [*self._own, *self._others]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self._others

    def register(self, name: str, target: str | type) -> None:
        """Gives a class of somebody else's a name; to say the same again changes nothing.

        Args:
            name: with a namespace, such as "acme/maze".
            target: "module:Class", imported when it is first used; or the class itself.

        Raises:
            InvalidInput: a name without a namespace or with the suite's, one that is taken, or a malformed target.
        """
        check_foreign_name(self.what, name)
        if isinstance(target, type):
            known: str | type = target
        elif isinstance(target, str) and PATH.fullmatch(target):
            known = target
        else:
            raise InvalidInput(f"{self.what} {name}: target must be 'module:Class' or a class; got {target!r}")
        if self._others.get(name, known) != known:
            taken = self._others[name]
            raise InvalidInput(f"{self.what} {name!r} is taken, by {taken!r}; got {target!r} for it")
        self._others[name] = known

    def is_path(self, name: object) -> bool:
        """Whether a name is nobody's but "module:Class"."""
        if name in self or not (isinstance(name, str) and PATH.fullmatch(name)):
            return False
        prefixes = {own.partition(":")[0] for own in self._own if ":" in own}  # "sb3" of "sb3:PPO" is no module
        return name.partition(":")[0] not in prefixes

    def check(self, name: object) -> str:
        """The name, if it is one of these or "module:Class". Raises `InvalidInput` with the nearest right one."""
        if isinstance(name, str) and (name in self or self.is_path(name)):
            return name
        raise unknown_name(self.what, name, self)

    def target(self, name: str) -> str | type:
        """ "module:Class", with the whole module path, or the class, of a name. Raises as `check`."""
        return self._own.get(name) or self._others.get(name) or self.check(name)

    def load(self, name: str, base: type | None = None) -> Any:
        """The class of a name, or of "module:Class".

        Args:
            name: what it goes by.
            base: what it must be derived from.

        Raises:
            InvalidInput: an unknown name (with the nearest right one), a module that cannot be imported or does not
                hold the class, or a class of another kind.
        """
        target = self.target(name)
        found = target if isinstance(target, type) else import_path(target, self.what)
        if base is not None and not (isinstance(found, type) and issubclass(found, base)):
            home = f"{base.__module__}.{base.__qualname__}"
            raise InvalidInput(f"{self.what} {name}: must be a class derived from {home}; got {found!r:.80}")
        return found

    def summary(self, name: str) -> str:
        """The first line of the class's docstring, read from its source without importing it; "" where there is none.

        Raises:
            InvalidInput: an unknown name.
        """
        target = self.target(name)
        if isinstance(target, type):
            text = inspect.getdoc(target)
        else:
            module, _, qualified = target.partition(":")
            text = _docstring(module, qualified)
        return (text or "").strip().partition("\n")[0]


def check_foreign_name(what: str, name: object) -> None:
    """Raises `InvalidInput` for a name that somebody else's class or scenario cannot have."""
    if not isinstance(name, str) or not FOREIGN_NAME.fullmatch(name):
        raise InvalidInput(
            f"{what} must carry a namespace of its own, such as 'acme/maze', in letters, digits and ._-; "
            f"got {name!r:.80}"
        )
    if name.partition("/")[0].lower() == OWN_NAMESPACE:
        raise InvalidInput(f"{what} must not begin with 'palaestra/', which is the suite's own; got {name!r:.80}")


def import_path(path: str, what: str) -> Any:
    """What "module:Class" names, imported.

    Raises:
        InvalidInput: one line naming the module and why it cannot be imported, or what it does not hold.
    """
    module_name, _, qualified = path.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # whatever somebody's module raises
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InvalidInput(f"{what} {path}: {module_name} cannot be imported: {reason}") from error
    for part in qualified.split("."):
        if not hasattr(found, part):
            near = difflib.get_close_matches(part, [name for name in vars(found) if not name.startswith("_")], n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise InvalidInput(f"{what} {path}: {module_name} has no {part!r}{hint}")
        found = getattr(found, part)
    return found


def is_foreign(name: object) -> bool:
    """Whether using a name would import code that it names itself: "module:Class", or Gymnasium's "module:Id"."""
    return isinstance(name, str) and ":" in name.strip(":")


def refuse_imports(content: Any, source: object, known: tuple[Registry, ...] = ()) -> None:
    """Refuses a file's content that names code to import, unless the user has allowed it; see `allowing_imports`.

    Args:
        content: names, or dicts and lists of them; keys count too.
        source: the file, for the message.
        known: registries whose own names may hold a colon.

    Raises:
        InvalidInput: a name that would import code, outside `allowing_imports`.
    """
    if _allowed.get():
        return
    for name in _strings(content):
        if is_foreign(name) and not any(name in registry for registry in known):
            raise InvalidInput(
                f"{source}: names code to import, {name!r:.120}; "
                "files may do so only with --allow-import (in Python, inside registry.allowing_imports())"
            )


def imports_allowed() -> bool:
    """Whether this is inside `allowing_imports`."""
    return _allowed.get()


@contextmanager
def allowing_imports(allow: bool = True) -> Iterator[None]:
    """Inside it, files may name "module:Class": the user trusts them."""
    token = _allowed.set(allow or _allowed.get())
    try:
        yield
    finally:
        _allowed.reset(token)


def _strings(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from _strings(key)
            yield from _strings(value)
    elif isinstance(content, list | tuple):
        for value in content:
            yield from _strings(value)


def _docstring(module: str, qualified: str, hops: int = 4) -> str | None:
    """A class's or function's docstring from its module's source, also where the module has it from another one."""
    path = _source(module)
    try:
        with open(path or "", encoding="utf-8") as file:
            tree = ast.parse(file.read())
    except (OSError, ValueError, SyntaxError):
        return None
    body: list[ast.stmt] = tree.body
    for part in qualified.split("."):
        node = next((n for n in body if getattr(n, "name", None) == part), None)
        if not isinstance(node, ast.ClassDef | ast.FunctionDef):
            return _imported_docstring(module, path or "", body, part, hops) if body is tree.body else None
        body = node.body
    return ast.get_docstring(node)  # type: ignore[arg-type]


def _imported_docstring(module: str, path: str, body: list[ast.stmt], name: str, hops: int) -> str | None:
    for node in body:
        if not isinstance(node, ast.ImportFrom) or not hops:
            continue
        for alias in node.names:
            if (alias.asname or alias.name) == name:
                package = module if path.endswith("__init__.py") else module.rpartition(".")[0]
                parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
                return _docstring(".".join([*parents, *filter(None, [node.module])]), alias.name, hops - 1)
    return None


def _source(module: str) -> str | None:
    """The file of a module; no package above it is imported."""
    first, *rest = module.split(".")
    loaded = sys.modules.get(module)
    if loaded is not None:
        return getattr(loaded, "__file__", None)
    try:
        spec = importlib.util.find_spec(first)
        name = first
        for part in rest:
            name = f"{name}.{part}"
            spec = PathFinder.find_spec(name, spec.submodule_search_locations if spec else None)
    except (ImportError, ValueError, AttributeError):
        return None
    return spec.origin if spec else None
