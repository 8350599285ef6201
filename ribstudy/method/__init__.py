"""The method (paper, Section 4): class activation maps, GNDRP, the RIB objective, and the adaptation to one image.

The networks are in `models`, and the steps from maps to masks are in `masks`.
"""
