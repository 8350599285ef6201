"""The three trainings (classifier, affinity network, DeepLab-v2) and the one `fit` that they share.

Each training defines its data, its loss and its schedule. The networks are in `models`, prediction is in `method` and `masks`.
"""
