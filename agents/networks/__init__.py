"""Networks and the distributions they parametrise: encoder by observation space, memory, heads by action space."""
