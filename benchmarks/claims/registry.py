"""The names of the claims: a line for each, "folder.file:NAME" within this package."""

from __future__ import annotations

from importlib import import_module

from .frame import Claim

CLAIMS = {
    "optimisers": "learning.optimisers:CLAIM",
    "hopfield-capacity": "memory.hopfield:CAPACITY",
    "hopfield-letters": "memory.hopfield:WORDS",
    "robust-training": "robustness.training:CLAIM",
}


def get(name: str) -> Claim:
    """The claim of that name; its file is imported only now."""
    module, _, attribute = CLAIMS[name].partition(":")
    found = getattr(import_module(f".{module}", __package__), attribute)
    assert isinstance(found, Claim)
    return found
