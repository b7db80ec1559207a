"""What learners share: how iterations are run, rollouts, replay, optimisers, statistics, exploring."""
