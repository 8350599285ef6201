"""The method (paper, Section 4): pooling, objective, class activation maps, and their adaptation to one image."""
