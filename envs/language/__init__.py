"""Tasks of language: characters of a real text, and sentences of a small English whose meaning is known."""
