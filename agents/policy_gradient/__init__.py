"""Agents that follow the gradient of the return."""
