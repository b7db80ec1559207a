"""How answers hold when what is seen is changed."""
