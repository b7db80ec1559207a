"""What the command line prints: tables, progress, descriptions, escaped text."""
