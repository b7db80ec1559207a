"""Palaestra: every deep-learning task as a batched, GPU-native Gymnasium environment.

Importing it registers every environment with Gymnasium as ``palaestra/<Name>-v0``, and what installed packages add
through the entry-point group `palaestra`.
"""

from .envs.registry import read_opponents_with, register_all
from .neural_blocks.plugins import load_plugins

__version__ = "0.1.0"

register_all()
read_opponents_with("palaestra.scenarios.rival:saved_opponent")
load_plugins()
