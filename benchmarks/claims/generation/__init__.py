"""Generative models: what their latents, discriminators and orders do."""
