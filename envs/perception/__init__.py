"""Perception: finding, naming and outlining what lies in an image."""
