"""The three trainings (classifier, affinity network, DeepLab-v2) and the one `fit` that they share.

A training states its data, its loss and its schedule. The networks are in `models`; `method` and `masks` predict with them.
"""
