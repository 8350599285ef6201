"""The networks: the classifier with class activation maps, the affinity network, DeepLab-v2, and their backbones and weights.

Their losses are in `method`, `masks` and `training`, and their training is in `training`.
"""
