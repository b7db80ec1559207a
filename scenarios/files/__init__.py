"""Reading files that may be anybody's: YAML in its strict form, and whose code may be imported."""
