"""Agents that learn what states and actions are worth."""
