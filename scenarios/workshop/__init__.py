"""What a person who builds something of their own needs: a file to begin with, and a check of what became of it."""
