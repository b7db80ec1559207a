"""Agents that learn from an expert's actions."""
