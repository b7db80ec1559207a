"""Checks of what users pass: values of options, and the memory that they ask for."""
