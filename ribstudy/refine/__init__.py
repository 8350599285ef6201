"""From class maps to masks: conditional random field, affinities of pairs of positions, random walk, thresholds."""
