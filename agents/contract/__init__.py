"""The contracts of an agent, an encoder and a memory as checks that anybody can run: `palaestra.agents.check(...)`."""
