"""Work around the network: decoding and cropping, the pools of auxiliary images, and the evaluation of maps."""

import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from ribstudy.bench.measure import BenchError, Plan, time_in_turn, time_once
from ribstudy.bench.operations import Workload
from ribstudy.bench.projections import COCO, STRIDE, VOC, DataSetSize
from ribstudy.bench.records import Measurement
from ribstudy.datasets.base import Dataset
from ribstudy.datasets.pictures import read_jpeg
from ribstudy.datasets.transforms import resize
from ribstudy.evaluation.metrics import threshold_sweep
from ribstudy.method.auxiliary import AuxiliaryDraws, DisjointPools
from ribstudy.method.inputs import Feed, ViewsAndAuxiliaryImages
from ribstudy.method.settings import AuxiliarySettings, RibSettings
from ribstudy.method.stored_maps import StoredMaps
from ribstudy.models.backbones import IMAGENET_STATISTICS
from ribstudy.report.look import photographs

JPEG_QUALITY = 90


class Photographs(Dataset):
    """The installed photographs as JPEGs of one size, each with its own class.

    number: how many names the data set has; the photographs repeat.
    """

    split = "photographs"

    def __init__(self, folder: Path, size: tuple[int, int], number: int):
        self._paths = []
        for name, photograph in photographs().items():
            self._paths.append(folder / f"{name}.jpg")
            Image.fromarray(resize(photograph, *size)).save(self._paths[-1], quality=JPEG_QUALITY)
        self.class_names = tuple(path.stem for path in self._paths)
        self.names = [str(index) for index in range(number)]

    def label(self, name: str) -> np.ndarray:
        return np.arange(len(self._paths)) == int(name) % len(self._paths)

    def num_objects(self, name: str) -> None:
        return None

    def image(self, name: str) -> np.ndarray:
        return read_jpeg(self._paths[int(name) % len(self._paths)])

    def mask(self, name: str) -> np.ndarray:
        raise NotImplementedError("the installed photographs have no masks")


def run(plan: Plan) -> dict[str, Measurement]:
    """Crops per second with 0, 2, 4, ... worker processes; seconds per image for the pools; images evaluated per second."""
    workload = plan.workload if plan.quick else VOC.workload
    with TemporaryDirectory() as folder:
        dataset = Photographs(Path(folder), (workload.height, workload.width), number=3)
        workers = [0] if plan.quick else [0, *range(2, plan.cores + 1, 2)]
        found = {f"crops a second, {number} workers": _crops(dataset, workload, number) for number in workers}
    for data in (VOC, COCO):
        found |= _pools(data, num_images=200 if plan.quick else data.num_images, repeats=plan.repeats(20))
    return found | {"evaluated images a second": _evaluation(workload, repeats=plan.repeats(7))}


def _crops(dataset: Photographs, workload: Workload, num_workers: int) -> Measurement:
    """Auxiliary crops per second, loaded as in the stage `rib`. The first image is not counted: the workers start with it."""
    side = workload.crop_side
    settings = AuxiliarySettings(batch_size=workload.num_auxiliary, long_side=(side * 5 // 8, side * 5 // 4), crop_size=side)
    num_steps = workload.iterations - 1
    draws = AuxiliaryDraws(dataset.labels, dataset.names, dataset.labels, settings, num_steps=num_steps, seed=0)
    own = (dataset, dataset.names, RibSettings().scales, IMAGENET_STATISTICS)
    inputs = ViewsAndAuxiliaryImages(*own, auxiliary=dataset, draws=draws, settings=settings, seed=0)
    feed = Feed(inputs, num_workers=num_workers)
    rates = []
    for name in dataset.names:
        start = time.perf_counter()
        feed.views(name)
        number = sum(len(images) for images, _ in feed.batches())
        rates.append(number / (time.perf_counter() - start))
    return Measurement.of(rates[1:], "crops/s", note=f"{workload.height} x {workload.width} JPEG to {side} x {side}")


def _pools(data: DataSetSize, *, num_images: int, repeats: int) -> dict[str, Measurement]:
    """Seconds to find the images that share no class with an image: by one product for all, and by a scan with Python sets."""
    rng = np.random.default_rng(0)
    labels = draw_labels(data, num_images, rng)
    start = time.perf_counter()
    pools = DisjointPools(labels, labels)
    product = time.perf_counter() - start
    chosen = rng.permutation(num_images)[:repeats].tolist()
    if not np.array_equal(pools.of(chosen[0]), disjoint_by_scan(labels, chosen[0])):
        raise BenchError("the product and the scan find different pools")
    lookups = [time_once(partial(pools.of, target)) for target in chosen]
    scans = [time_once(partial(disjoint_by_scan, labels, target)) for target in chosen[:3]]
    ours = [product / num_images + lookup for lookup in lookups]
    return {
        f"{data.name}, pool by product: seconds an image": Measurement.of(ours, "s", note=f"the product took {product:.2f} s"),
        f"{data.name}, pool by scan: seconds an image": Measurement.of(scans, "s"),
    }


def draw_labels(data: DataSetSize, num_images: int, rng: np.random.Generator) -> np.ndarray:
    """Random labels, bool [N, C], with the data set's mean number of classes per image.

    The k-th class is 1/k times as frequent as the first.
    """
    frequencies = 1 / np.arange(1, data.workload.num_classes + 1)
    return rng.random((num_images, len(frequencies))) < data.classes_per_image * frequencies / frequencies.sum()


def disjoint_by_scan(labels: np.ndarray, target: int) -> np.ndarray:
    """Indices of the images that share no class with a target, found one by one with sets as in the reference code."""
    classes = set(np.flatnonzero(labels[target]).tolist())
    return np.array([index for index, label in enumerate(labels) if not classes & set(np.flatnonzero(label).tolist())], int)


def _evaluation(workload: Workload, *, repeats: int) -> Measurement:
    """Images per second: from stored maps of four scales and two classes to counts at 100 thresholds, on one core."""
    rng = np.random.default_rng(0)
    scales = RibSettings().scales
    positions = [(-(-height // STRIDE), -(-width // STRIDE)) for height, width in workload.view_sizes(scales)]
    steps = tuple(rng.random((workload.iterations, 2, *shape), dtype=np.float32) for shape in positions)
    maps = StoredMaps(np.array([3, 11]), (workload.height, workload.width), steps)
    truth = rng.choice([0, 4, 12], size=(workload.height, workload.width)).astype(np.uint8)
    works = {"": lambda: threshold_sweep(maps.normalized(), maps.classes, truth, num_classes=21)}
    return Measurement.of([1 / seconds for seconds in time_in_turn(works, repeats=repeats)[""]], "images/s")
