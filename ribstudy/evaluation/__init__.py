"""Scores of maps and masks, and the confidence intervals of their differences.

Nothing here draws a figure or reads the files of a result: maps and masks are passed as arguments.
"""
