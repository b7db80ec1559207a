"""Tasks made of tasks: what a wrapper is for other libraries, here as rules of their own."""
