"""Blocks that read vectors and images."""
