"""Attacks on classifiers as agents."""
