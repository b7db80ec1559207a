"""Agents that learn from what was recorded, without playing."""
