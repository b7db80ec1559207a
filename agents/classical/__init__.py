"""Agents without a network: bandits and planners on counts, random play, the task's own expert."""
