"""What the study's code costs: `python -m ribstudy.bench` writes results/bench/<device>.json, which the page on costs shows."""
