"""Agents that play against each other."""
