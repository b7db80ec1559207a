"""How networks are trained: optimisers, depth, regularisation."""
