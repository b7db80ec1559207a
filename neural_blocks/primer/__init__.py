"""First principles, small enough to read: derivatives by a graph, a layer's backward rule, a check of gradients, steps.

What agents learn with is PyTorch's own; here stands what it does.
"""
