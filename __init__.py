"""Palaestra: every deep-learning task as a batched, GPU-native Gymnasium environment.

Importing it registers every environment with Gymnasium as ``palaestra/<Name>-v0``.
"""

from .envs.registry import register_all

__version__ = "0.1.0"

register_all()
