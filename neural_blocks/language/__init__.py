"""Language: tokens and their losses, encoders of words, models of language, and decoding."""
