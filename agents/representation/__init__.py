"""Encoders fitted without labels: what is observed is gathered, a method fits an encoder to it, any agent takes it."""
