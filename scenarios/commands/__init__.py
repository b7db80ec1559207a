"""The commands of `palaestra`: one file for each group of them; `scenarios.main` puts them together."""
