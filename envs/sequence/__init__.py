"""Sequence tasks: predict what comes next, remember what came before."""
