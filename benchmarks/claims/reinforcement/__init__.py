"""Estimators and ablations of reinforcement learning."""
