"""The simulated experiment (paper, Section 3): digits with markers, networks, gradient maps and probes.

Its figures and tables are in `report`.
"""
