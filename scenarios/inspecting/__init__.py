"""Looking into a trained agent: what it looks at, what its parts answer to, and where its gradients go."""

from .inspecting import Finding, inspect

__all__ = ["Finding", "inspect"]
