"""Grey PNGs of any number of bits per pixel, which Pillow does not write."""

import struct
import zlib
from pathlib import Path

import numpy as np


def write_grey_png(path: Path, numbers: np.ndarray, bits: int) -> Path:
    """Writes numbers [H, W] below 2^bits, for 1, 2, 4, 8 or 16 bits."""
    height, width = numbers.shape
    digits = (numbers[..., None].astype(np.uint16) >> np.arange(bits - 1, -1, -1)) & 1
    rows = np.packbits(digits.reshape(height, width * bits).astype(np.uint8), axis=1)
    pixels = b"".join(b"\0" + row.tobytes() for row in rows)  # no filter
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(pixels)), (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(map(chunk, *zip(*chunks, strict=True))))
    return path


def chunk(name: bytes, content: bytes) -> bytes:
    """A part of a PNG, with its checksum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
