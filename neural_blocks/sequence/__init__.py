"""Blocks that read, remember and write sequences."""
