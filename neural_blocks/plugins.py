"""Packages that add to the suite: what is installed with an entry point of the group `palaestra`.

An entry point is a function, or a module with a function `register`, that calls `palaestra.envs.register`,
`palaestra.agents.register`, `palaestra.neural_blocks.register_encoder` and `register_memory`, and
`palaestra.scenarios.register` as it needs. It runs at ``import palaestra``, so its module should import nothing heavy.
"""

from __future__ import annotations

import warnings
from importlib.metadata import entry_points

GROUP = "palaestra"


def load_plugins() -> None:
    """Runs every installed entry point; one that fails is left out with a warning of one line."""
    for point in entry_points(group=GROUP):
        try:
            found = point.load()
            getattr(found, "register", found)()
        except (Exception, SystemExit) as error:  # whatever somebody's code raises
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            warnings.warn_explicit(
                f"plugin {point.name!r} ({point.value}) is left out: {reason}", RuntimeWarning, "palaestra", 0
            )
