"""What every test needs before anything else."""

import torch

import ribstudy  # noqa: F401  (before a test imports torchvision, see ribstudy/torchvision_operators.py)

# Tests run on small tensors, where threads cost more than they bring; the shards of a run have one thread each too.
torch.set_num_threads(1)
