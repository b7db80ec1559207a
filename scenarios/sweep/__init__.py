"""Sweeps: many settings are tried on validation data and seeds of their own, and the best are reported.

Imports nothing, so that a worker starts quickly.
"""
