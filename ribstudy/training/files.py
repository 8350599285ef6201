"""The names of the files that a training writes (`checkpoint`, `fit`)."""

CHECKPOINT = "checkpoint.pt"  # of an unfinished training
HISTORY = "history.csv"
WEIGHTS = "weights.safetensors"
