"""Classification as a contextual bandit: an input is shown, a class is named, only the guess is judged."""
