"""Ranks, worker processes, files, folders and progress bars. Nothing here depends on images or networks."""
