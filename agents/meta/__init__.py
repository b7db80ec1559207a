"""Agents that learn to learn."""
