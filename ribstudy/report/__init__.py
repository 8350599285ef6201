"""The parts that the chapters of the book share: their start and end, tables, figures, published values and records.

Nothing here computes a result: chapters get their results from `stages`, and their scores and intervals from `evaluation`.
"""
