"""Files that a page contains itself, so that it loads nothing: the addresses of pictures, charts and other content."""

import base64
import io

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

TYPES = {"svg": "image/svg+xml", "png": "image/png", "webp": "image/webp", "jpeg": "image/jpeg", "csv": "text/csv"}
QUALITIES = {"webp": 75, "jpeg": 85}  # a map of ten steps then takes about 200 kB in the report of `look`


def address(kind: str, content: bytes) -> str:
    """The address of a file that contains the file itself; kind: one of `TYPES`."""
    return f"data:{TYPES[kind]};base64,{base64.b64encode(content).decode()}"


def picture_address(picture: np.ndarray, kind: str) -> str:
    """The address of a picture, uint8 [H, W, 3]; kind: one of `QUALITIES`."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format=kind, quality=QUALITIES[kind])
    return address(kind, buffer.getvalue())


def chart_address(chart: Figure, kind: str, **options) -> str:
    """The address of a chart; options: of `Figure.savefig`."""
    buffer = io.BytesIO()
    chart.savefig(buffer, format=kind, **options)
    return address(kind, buffer.getvalue())
