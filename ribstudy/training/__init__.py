"""The training loop, and the three networks that are trained by it: classifier, affinity network, DeepLab-v2."""
