"""The computational cost of the code, measured and counted. `python -m ribstudy.bench` writes results/bench/<device>.json.

The tables and charts of the page on costs are also here. The figures of all other chapters are in `report`.
"""
