"""What makes a task an environment of this suite, Gymnasium, Stable-Baselines3 or PettingZoo."""
