"""Writes a working file of somebody's own to begin with, and a test of it: `palaestra new`."""

from __future__ import annotations

import importlib.util
import keyword
import re
from dataclasses import dataclass
from pathlib import Path

from ...neural_blocks.errors import InvalidInput, shown, unknown_name
from .. import catalogue

TEMPLATES = Path(__file__).with_name("templates")
KINDS = ("env", "agent", "block", "scenario")
LONGEST = 40  # letters of a name


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        files: the file and its test.
        following: what to do next, a line each.
    """

    files: tuple[Path, ...]
    following: tuple[str, ...]


def write(kind: str, name: str, folder: str | Path = ".") -> Written:
    """Writes a file of a kind and a test of it, both or neither.

    Args:
        kind: "env", "agent", "block" or "scenario".
        name: what to call it, in words: ``my-maze``, ``my_maze`` or ``MyMaze``.
        folder: where; it is made if need be.

    Raises:
        InvalidInput: an unknown kind, a name that Python cannot have or that hides a module, or files that exist.
    """
    if kind not in KINDS:
        raise unknown_name("kind", kind, KINDS)
    module = _module(name)
    words = module.split("_")
    names = {"MODULE": module, "CLASS": "".join(word.capitalize() for word in words), "NAME": "-".join(words)}
    stem, suffix = (names["NAME"], ".yaml") if kind == "scenario" else (module, ".py")
    if kind == "scenario" and stem in catalogue.names():
        raise InvalidInput(f"{kind}: name {stem!r} is one of the catalogue's own; choose another")
    if (
        kind != "scenario"
        and importlib.util.find_spec(module) is not None
        and not (Path(folder) / f"{module}.py").exists()
    ):
        raise InvalidInput(f"{kind}: name {module!r} is that of a module that Python finds already; choose another")
    files = {Path(folder) / f"{stem}{suffix}": kind, Path(folder) / f"test_{module}.py": f"test_{kind}"}
    for path in files:
        if path.exists() or path.is_symlink():
            raise InvalidInput(f"{path} exists; nothing was written")
    texts = {path: _filled(template, names) for path, template in files.items()}
    Path(folder).mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    try:
        for path, text in texts.items():
            with path.open("x", encoding="utf-8") as file:
                written.append(path)
                file.write(text)
    except OSError:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return Written(tuple(files), _following(kind, names, Path(folder)))


def _module(name: str) -> str:
    """A name in words as a module's: ``my_maze``."""
    module = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", module) or keyword.iskeyword(module) or len(module) > LONGEST:
        wanted = f"at most {LONGEST} letters and digits, with - or _ between words, such as my-maze"
        raise InvalidInput(f"name must be {wanted}; got {shown(name)}")
    return module


def _filled(template: str, names: dict[str, str]) -> str:
    text = (TEMPLATES / f"{template}.txt").read_text(encoding="utf-8")
    for placeholder, name in names.items():
        text = text.replace(placeholder, name)
    return text


def _following(kind: str, names: dict[str, str], folder: Path) -> tuple[str, ...]:
    """The commands that come next; they are for the folder that was written to."""
    module, cls, name = names["MODULE"], names["CLASS"], names["NAME"]
    commands = {
        "env": [f"palaestra check {module}:{cls}"],
        "agent": [f"palaestra check {module}:{cls}", f"palaestra train digits --agent {module}:{cls}"],
        "block": [
            f"palaestra check {module}:{cls}Encoder",
            f"palaestra train digits --set encoder={module}:{cls}Encoder --set memory={module}:{cls}Memory",
        ],
        "scenario": [f"palaestra check {name}.yaml", f"palaestra train {name}.yaml"],
    }[kind]
    there = [] if folder.resolve() == Path.cwd() else [f"cd {folder}"]
    return ("next:", *(f"  {command}" for command in [*there, *commands, f"pytest test_{module}.py"]))
