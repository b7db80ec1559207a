"""Neurons as physics: spikes and energies."""
