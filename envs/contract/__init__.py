"""The contract of a task as checks that anybody can run: `palaestra.envs.check(task)`."""
