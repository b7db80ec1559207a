"""Dynamical systems to be held on course: neurons that must fire at a given rate."""
