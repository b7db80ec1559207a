"""Families of problems that an agent meets one after another: what RL² and MAML learn to learn."""
