"""What every agent shares: the contract, networks, distributions, rollouts, replay, evaluation."""
