"""The machine: ranks, worker processes, files, folders and progress. Nothing here knows about images or networks."""
