"""Environments in which something is made: pixel by pixel, in a latent space, out of noise."""
