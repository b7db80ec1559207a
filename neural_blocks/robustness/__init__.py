"""Attacks, calibration, ensembles, shifted distributions."""
