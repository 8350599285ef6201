"""The machine: ranks, worker processes, files, folders, progress. Nothing here knows of images or networks."""
