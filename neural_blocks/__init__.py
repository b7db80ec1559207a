"""Floor 1: neural blocks. Torch modules that know nothing of environments or agents.

Every public class and function of the folders below is here too, ``from palaestra.neural_blocks import GRU``, imported
when it is first asked for. Those that agents take by name are in `named_blocks`; `register_encoder` and
`register_memory` add others'.
"""

import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .named_blocks import register_encoder, register_memory

if TYPE_CHECKING:
    __all__ = ["register_encoder", "register_memory"]

_PUBLIC = re.compile(r"^(?:class|def) ([A-Za-z]\w*)", re.MULTILINE)


@cache
def _homes() -> dict[str, str]:
    """The module of every public class and function, by its name, read from the sources."""
    homes = {}
    for path in sorted(Path(__file__).parent.glob("*/*.py")):
        for name in _PUBLIC.findall(path.read_text(encoding="utf-8")):
            homes[name] = f".{path.parent.name}.{path.stem}"
    return homes


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return sorted([*_homes(), "register_encoder", "register_memory"])
    if name.startswith("_") or name not in _homes():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_homes()[name], __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_homes()})
