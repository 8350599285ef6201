"""The parts that the chapters of the book share: their start and end, tables, figures, published values and records.

Results are computed in `stages`, scores and intervals in `evaluation`. Only `look` adapts a network itself, to a photograph.
"""
