"""From class activation maps to pseudo masks (thresholds, dense CRF, affinities, random walk), and prediction with DeepLab-v2.

Everything here works on one image or batch in memory. The networks are in `models`, their trainings in `training`.
"""
