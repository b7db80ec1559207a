"""What layers are made of: activations, initialisation, normalisation, dropout."""
