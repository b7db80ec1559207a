"""What agents that answer with a class do about attacks, shifted images, and how sure they are."""
