"""The simulated experiment (paper, Section 3): digits, markers, gradient maps, and what a last activation does."""
