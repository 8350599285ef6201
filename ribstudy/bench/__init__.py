"""Costs of the study's code, measured and counted. `python -m ribstudy.bench` writes results/bench/<device>.json.

The tables and charts of the page on costs are here too; figures of the other chapters belong in `report`.
"""
