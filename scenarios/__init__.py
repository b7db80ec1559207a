"""Floor 4: scenarios. Named experiments: catalogue, runner, playback, leaderboard, command line."""
