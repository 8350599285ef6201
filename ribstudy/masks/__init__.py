"""From class activation maps to pseudo masks (thresholds, dense CRF, affinities, random walk), and prediction with DeepLab-v2.

Every function works on one image or one batch in memory. The networks are in `models`, their training is in `training`.
"""
