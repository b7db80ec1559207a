"""What a task is made of: rules, noise, spaces, pictures."""
