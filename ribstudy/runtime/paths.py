"""The project's folders, so that notebooks and commands work from any working directory."""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("RIBSTUDY_DATA", PROJECT / "data"))
RESULTS = Path(os.environ.get("RIBSTUDY_RESULTS", PROJECT / "results"))
MNIST = PROJECT / "data" / "mnist_2_8.npz"
PUBLISHED = Path(os.environ.get("RIBSTUDY_PUBLISHED", PROJECT / "published"))
