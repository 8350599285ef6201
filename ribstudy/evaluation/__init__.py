"""Scores, and the statistics that compare them. Nothing here draws or knows of chapters."""
