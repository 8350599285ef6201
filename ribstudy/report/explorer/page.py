"""The explorer as one piece of HTML, which loads nothing and asks no server: data, style and script are inside.

The maps of every step are packed as whole numbers of 16 bits. The script (`explorer.js`) computes from them what the library
computes: the sum of the first steps, the map in 0..1 at full resolution (`seed_maps`), its mask (`mask_of`) and the mIoU
(`ConfusionMatrix`).

Shapes: H x W pixels, n classes in the image, K steps, h x w positions of a map.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

import matplotlib as mpl
import numpy as np
from IPython.display import HTML

from ribstudy.datasets.pictures import PALETTE
from ribstudy.masks.labelling import mask_values
from ribstudy.method.stored_maps import StoredMaps
from ribstudy.report.figures.common import MAP_COLORS
from ribstudy.report.figures.inline import picture_address

LEVELS = 2**16 - 1  # of a packed value, a share of the largest value of all steps
START_THRESHOLD = 0.3  # the threshold of the reference code's spread


@dataclass(frozen=True, eq=False)
class Example:
    """An image of the explorer.

    image: uint8 [H, W, 3]; truth: uint8 [H, W], its true mask, with 255 for void.
    class_names: of all classes of the data set.
    maps: RIB's stored maps of one scale, by tau. All have the same classes; an adaptation that stopped early has fewer steps.
    """

    image: np.ndarray
    truth: np.ndarray
    class_names: Sequence[str]
    maps: Mapping[float, StoredMaps]


def show(examples: Sequence[Example]) -> HTML:
    """The explorer of some images, whose maps have the same values of tau.

    Raises ValueError if an image has maps of several scales, or other values of tau than the first.
    """
    taus = list(examples[0].maps)
    if any(list(example.maps) != taus for example in examples):
        raise ValueError(f"the images have maps of different tau; expected {taus} for all of them")
    data = {
        "taus": taus,
        "colors": _text((255 * mpl.colormaps[MAP_COLORS](np.arange(256))[:, :3]).round().astype(np.uint8)),
        "examples": [packed(example) for example in examples],
    }
    parts = {
        name: files(__package__).joinpath(f"explorer.{name}").read_text(encoding="utf-8") for name in ("html", "css", "js")
    }
    options = "".join(_option(place, example) for place, example in enumerate(examples))
    markup = parts["html"].replace("<!-- images -->", options).replace("START", f"{START_THRESHOLD}")
    content = json.dumps(data).replace("<", "\\u003c")  # no text of the data can end its element
    return HTML(
        f"<style>{parts['css']}</style>{markup}"
        f'<script type="application/json" class="explorer-data">{content}</script><script>{parts["js"]}</script>'
    )


def packed(example: Example) -> dict[str, Any]:
    """An image and its maps as the script reads them: numbers, texts and base64."""
    first = next(iter(example.maps.values()))
    values = mask_values(first.classes).tolist()
    return {
        "image": picture_address(example.image, "webp"),
        "size": list(first.size),
        "values": values,  # of the classes in a mask
        "names": [example.class_names[index] for index in first.classes],
        "palette": PALETTE[values].tolist(),
        "truth": runs(example.truth),
        "maps": [_packed_steps(stored) for stored in example.maps.values()],
    }


def _packed_steps(stored: StoredMaps) -> dict[str, Any]:
    """The maps of every step [K, n, h, w], as whole numbers times `unit`."""
    if len(stored.steps) != 1:
        raise ValueError(f"maps of {len(stored.steps)} scales: the explorer shows maps of one scale")
    (steps,) = stored.steps
    unit = float(steps.max()) / LEVELS or 1.0
    return {"shape": list(steps.shape), "unit": unit, "data": _text((steps / unit).round().astype("<u2"))}


def runs(values: np.ndarray) -> list[list[int]]:
    """Equal neighbours in the order of the rows: [[value, count], ...]."""
    flat = values.ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=-1 - int(flat[0])))
    return np.stack([flat[starts], np.diff(starts, append=flat.size)], axis=1).tolist()


def _option(place: int, example: Example) -> str:
    first = next(iter(example.maps.values()))
    name = " and ".join(example.class_names[index] for index in first.classes)
    return f'<option value="{place}">{place + 1}: {escape(name)}</option>'


def _text(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode()
