"""The simulated experiment (paper, Section 3): digits with markers, their networks, gradient maps and probes; no figures."""
