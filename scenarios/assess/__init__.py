"""Assessing: one agent over a fixed set of scenarios, as a profile of its capabilities beside others'."""
