"""Floor 1: neural blocks. Torch modules that know nothing of environments or agents."""
