"""Folders of other people's scenarios. Reads one line a file, so that registering costs an import next to nothing."""

from __future__ import annotations

import re
from pathlib import Path

from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.registry import check_foreign_name

REGISTERED: dict[str, Path] = {}
"""The file of every registered scenario, by its name."""
_NAME = re.compile(r"""^name:[ \t]*["']?([^\s"'#]+)""", re.MULTILINE)


def register(folder: str | Path) -> list[str]:
    """Adds the scenarios in a folder to the catalogue; to say the same again changes nothing.

    Args:
        folder: of .yaml files, each with a ``name:`` that carries a namespace, such as ``name: acme/maze``.

    Returns:
        The names.

    Raises:
        InvalidInput: no such folder, no scenario in it, a name without a namespace, or one that is taken.
    """
    found: dict[str, Path] = {}
    for path in sorted(Path(folder).resolve().glob("*.yaml")):
        try:
            name = _NAME.search(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{path}: cannot be read: {error}") from error
        if name is None:
            raise InvalidInput(f"{path}: must have a line 'name: namespace/scenario'")
        check_foreign_name(f"{path}: scenario", name[1])
        taken = found.get(name[1]) or REGISTERED.get(name[1], path)
        if taken != path:
            raise InvalidInput(f"{path}: scenario name {name[1]!r} is taken, by {taken}")
        found[name[1]] = path
    if not found:
        raise InvalidInput(f"scenario folder must hold .yaml files; got {str(folder)!r}")
    REGISTERED.update(found)
    return list(found)
