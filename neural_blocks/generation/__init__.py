"""Blocks that generate."""
