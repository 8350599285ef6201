"""A server on this machine that offers small archives in the layout of VOC 2012 and SBD."""

import io
import re
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from ribstudy.datasets import fetch
from ribstudy.datasets.devkit import FOLDERS
from ribstudy.datasets.pictures import VOID, write_mask
from ribstudy.datasets.voc12 import VOC_CLASSES

TRAIN, VAL, OTHERS = ["2007_01", "2007_03"], ["2007_02", "2007_04"], ["2008_03", "2008_01", "2008_02"]


SBD = {
    "train": [TRAIN[0], VAL[0], OTHERS[0]],
    "val": [OTHERS[2], VAL[1], OTHERS[1]],
}  # overlaps with VOC's train and val, like the real SBD


TRAIN_AUG = [*TRAIN, *sorted(OTHERS)]


COUNTS = {"train": 2, "train_aug": 5, "val": 2}


VOC_TAR, SBD_TGZ = "VOCtrainval_11-May-2012.tar", "benchmark.tgz"


class Handler(BaseHTTPRequestHandler):
    """Sends files, whole or from a byte on. Ends a connection early for each entry of `cuts`, after that many bytes."""

    def do_GET(self) -> None:
        site = self.server.site
        data = site.files.get(self.path.strip("/"))
        start = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if site.gives_parts else None
        site.requests.append((self.path.strip("/"), int(start[1]) if start else 0))
        if data is None or (start and int(start[1]) >= len(data)):
            self.send_error(404 if data is None else 416)
            return
        body = data[int(start[1]) :] if start else data
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", site.content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: site.cuts.pop(0)] if site.cuts else body)

    def log_message(self, *arguments: object) -> None:
        pass


class Site:
    """The files of the server, and the requests that it got."""

    def __init__(self, files: dict[str, bytes]):
        self.files, self.requests, self.cuts = files, [], []
        self.gives_parts, self.content_type = True, "application/octet-stream"
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.site = self
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/{name}"


def mask_of(name: str, *, border: bool) -> np.ndarray:
    mask = np.zeros((30, 40), np.uint8)
    mask[5:20, 5:20] = 1 + sum(name.encode()) % 20
    mask[20, 5:20] = VOID if border else 0
    return mask


def write_voc(folder: Path) -> None:
    for part in FOLDERS:
        (folder / part).mkdir(parents=True)
    (folder / "padding").write_bytes(np.random.default_rng(0).bytes(3 * fetch.CHUNK))  # so that it is sent in several pieces
    for split, names in {"train": TRAIN, "val": VAL}.items():
        (folder / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(names) + "\n")
    for name in (*TRAIN, *VAL, *OTHERS):
        Image.new("RGB", (40, 30)).save(folder / "JPEGImages" / f"{name}.jpg")
        box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
        class_name = VOC_CLASSES[mask_of(name, border=False).max() - 1]
        text = f"<annotation><object><name>{class_name}</name>{box}</object></annotation>"
        (folder / "Annotations" / f"{name}.xml").write_text(text)
        if name not in OTHERS:
            write_mask(folder / "SegmentationClass" / f"{name}.png", mask_of(name, border=True))


def write_sbd(folder: Path) -> None:
    for part in ("cls", "img", "inst"):
        (folder / part).mkdir(parents=True)
    for part, names in SBD.items():
        (folder / f"{part}.txt").write_text("\n".join(names) + "\n")
        for name in names:
            savemat(
                folder / "cls" / f"{name}.mat", {"GTcls": {"Segmentation": mask_of(name, border=False)}}, do_compression=True
            )


def pack(folder: Path, mode: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for part in sorted(folder.iterdir()):
            archive.add(part, part.name)
    return buffer.getvalue()
