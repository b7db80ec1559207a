"""A page for every family of neural blocks, read from the sources without importing them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from palaestra.neural_blocks.named_blocks import ENCODERS, MEMORIES
from palaestra.scenarios.output.description import HEADINGS, arguments, prose

from .markdown import citations, code, join, plain, table
from .results import ROOT

FOLDER = ROOT / "neural_blocks"
Definition = ast.ClassDef | ast.FunctionDef


def families() -> list[str]:
    """The folders of blocks."""
    return sorted(path.parent.name for path in FOLDER.glob("*/__init__.py"))


def block_page(family: str) -> str:
    """The Markdown of a family's page: its modules, and every public class and function of each."""
    parts = [f"# {family}", plain(_docstring(FOLDER / family / "__init__.py"))]
    for path in sorted((FOLDER / family).glob("*.py")):
        if path.name != "__init__.py":
            parts += [f"## {path.stem}", *map(plain, prose(_docstring(path))), *_entries(path)]
    return join(*parts)


def _docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def _entries(path: Path) -> Iterator[str]:
    """What each public definition of a module is called with, is and takes."""
    module = f"palaestra.neural_blocks.{path.parent.name}.{path.stem}"
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(node, Definition) or node.name.startswith("_"):
            continue
        text = ast.get_docstring(node) or ""
        yield f"### {node.name}"
        yield f"```python\n{_call(node)}\n```"
        yield from map(plain, prose(text))
        meanings = {name: told for heading in HEADINGS[:2] for name, told in arguments(text, heading).items()}
        if meanings:
            yield table(("argument", "meaning"), [(code(name), plain(told)) for name, told in meanings.items()])
        named = [
            f"`{kind}={name}`"
            for kind, known in (("encoder", ENCODERS), ("memory", MEMORIES))
            for name in known
            if known.target(name) == f"{module}:{node.name}"
        ]
        if named:
            yield f"An agent takes it by name: {', '.join(named)}."
        if papers := citations(text):
            yield f"*{plain('; '.join(papers))}*"


def _call(node: Definition) -> str:
    """How it is called, with its types: a function as it is defined, a class as its `__init__` is.

    >>> _call(ast.parse("def twice(x: int, *, more: bool = False) -> int: ...").body[0])
    'twice(x: int, *, more: bool = False) -> int'
    """
    taken: ast.FunctionDef | None = node if isinstance(node, ast.FunctionDef) else None
    if isinstance(node, ast.ClassDef):
        taken = next((one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"), None)
    if taken is None:
        bases = ", ".join(map(ast.unparse, node.bases)) if isinstance(node, ast.ClassDef) else ""
        return f"class {node.name}({bases})" if bases else f"class {node.name}"
    given = f" -> {ast.unparse(taken.returns)}" if taken is node and taken.returns is not None else ""
    told = _arguments(taken.args)
    whole = f"{node.name}({', '.join(told)}){given}"
    if len(whole) <= 90:
        return whole
    lines = "".join(f"    {one},\n" for one in told)
    return f"{node.name}(\n{lines}){given}"


def _arguments(taken: ast.arguments) -> list[str]:
    """Each argument with its type and default."""
    placed = [*taken.posonlyargs, *taken.args]
    defaults = [None] * (len(placed) - len(taken.defaults)) + list(taken.defaults)
    told = [_argument(one, default) for one, default in zip(placed, defaults, strict=True) if one.arg != "self"]
    if taken.vararg:
        told.append(f"*{_argument(taken.vararg, None)}")
    elif taken.kwonlyargs:
        told.append("*")
    told += [_argument(one, default) for one, default in zip(taken.kwonlyargs, taken.kw_defaults, strict=True)]
    return [*told, *([f"**{_argument(taken.kwarg, None)}"] if taken.kwarg else [])]


def _argument(one: ast.arg, default: ast.expr | None) -> str:
    kind = f": {ast.unparse(one.annotation)}" if one.annotation else ""
    if default is None:
        return f"{one.arg}{kind}"
    return f"{one.arg}{kind} = {ast.unparse(default)}" if kind else f"{one.arg}={ast.unparse(default)}"


def blocks_index() -> str:
    """The Markdown of the page that lists the families."""
    rows = [(f"[{family}]({family}.md)", plain(_docstring(FOLDER / family / "__init__.py"))) for family in families()]
    return join(
        "# Neural blocks",
        "Torch modules that know nothing of environments or agents: `from palaestra.neural_blocks import GRU`. "
        "Those with a name are an agent's settings: `--set memory=lstm`, `--set encoder=vit`.",
        table(("family", "what is in it"), rows),
    )
