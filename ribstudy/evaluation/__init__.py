"""Scores of maps and masks, and the statistics that compare them. Nothing here draws or reads a result from its folder."""
