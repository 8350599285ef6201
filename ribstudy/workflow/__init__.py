"""The jobs that each chapter needs, the variants of the ablations, and batches with the plan that computes their jobs.

Nothing here computes a result or draws a figure: the computations are in `stages`, the figures in `report`.
"""
