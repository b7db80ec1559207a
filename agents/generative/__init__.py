"""Agents that fit a generative block to the pictures of an environment, and play with it."""
