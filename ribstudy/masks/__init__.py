"""From class activation maps to pseudo masks: thresholds, CRF, affinities, random walk; and how DeepLab-v2 predicts."""
