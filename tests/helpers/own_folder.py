"""A folder of own images for tests: six images of cats, dogs and neither."""

from pathlib import Path

import numpy as np
from PIL import Image

from ribstudy import datasets
from ribstudy.datasets.settings import DataSettings

WIDTH, HEIGHT = 12, 8
LABELS = {"a.png": "cat", "b.png": "dog", "c.png": "cat,dog", "d.png": "", "e.png": "cat", "f.png": ""}


def own(root: Path | None, *, max_side: int | None = None) -> DataSettings:
    return DataSettings(name="folder", root=root, max_side=max_side)


def write_labels(root: Path, labels: dict[str, str]) -> None:
    lines = ["image,class", *(f"{name},{classes}".rstrip(",") for name, classes in labels.items())]
    (root / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_own_folder(folder: Path) -> None:
    """Six images, the last two held out, with masks for two of them."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    for place, name in enumerate(LABELS):
        Image.new("RGB", (WIDTH, HEIGHT), (10 * place, 0, 0)).save(folder / "images" / name)
    write_labels(folder, LABELS)
    (folder / "classes.txt").write_text("dog\ncat\n")
    (folder / "val.txt").write_text("e\nf.png\n")
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[2:6, 2:6], mask[6] = 2, 255
    for name in ("a", "e"):
        Image.fromarray(mask).save(folder / "masks" / f"{name}.png")


def open_train(root: Path):
    return datasets.open_dataset(own(root), "train")


def save_image(path: Path, array: np.ndarray, mode: str | None = None, **options) -> Path:
    Image.fromarray(array, mode).save(path, **options) if mode else Image.fromarray(array).save(path, **options)
    return path
