"""Floor 3: agents, one file per algorithm."""
