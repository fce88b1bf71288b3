"""Where operators come from, and the epsilon of the protected ones."""

SWISH = "Ramachandran et al. 2017, arXiv:1710.05941"
PANGAEA = "Bingham and Miikkulainen 2022, arXiv:2006.03179"
BOTH = f"{SWISH}; {PANGAEA}"
CLASSICAL = "classical"
PROTECTION = 1e-7
"""The paper prints no epsilon; this is that of the NNI re-implementation."""
