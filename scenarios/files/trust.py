"""What files may not do unless the user says so: name code to import."""

from __future__ import annotations

from typing import Any

from ...agents.registry import AGENTS
from ...neural_blocks.registry import refuse_imports


def check_names(source: object, *parts: Any) -> None:
    """Refuses names in a file that would import code: "module:Class", or Gymnasium's "module:Id".

    Args:
        source: the file, for the message.
        parts: names, options and settings read from it.

    Raises:
        InvalidInput: such a name, outside `registry.allowing_imports` (``--allow-import`` on the command line).
    """
    refuse_imports(list(parts), source, (AGENTS,))
