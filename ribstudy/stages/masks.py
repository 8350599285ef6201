"""From class activation maps to pseudo masks: the stages `labels`, `affinity`, `walk` and `masks`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ribstudy import datasets
from ribstudy.config import Settings
from ribstudy.datasets.settings import ImageSelection
from ribstudy.datasets.transforms import normalize
from ribstudy.evaluation.scores import StoredUnits, predicted_mask, sweep_units
from ribstudy.masks.affinity import affinity_labels
from ribstudy.masks.labelling import refined_mask
from ribstudy.masks.random_walk import walk_maps
from ribstudy.method.cam import stored_seed_maps
from ribstudy.models.affinity_net import AffinityNet, boundary, build_affinity_net
from ribstudy.models.kernels import use_fast_convolutions
from ribstudy.runtime import ranks as launch
from ribstudy.stages.execution import Need, Run, Stage, UnitWorker
from ribstudy.stages.maps import image_names
from ribstudy.store import Result
from ribstudy.training.affinity import WEIGHTS, train_affinity_net
from ribstudy.training.loop import CHECKPOINT


def of_images(settings: Settings, images: ImageSelection) -> Settings:
    """The same settings, for other images."""
    return settings.model_copy(update={"infer": images})


def stored(run: Run, stage: str, images: ImageSelection | None = None) -> StoredUnits:
    """What a stage stored, of the images of the settings or of others."""
    run = run.under(of_images(run.settings, images or run.settings.infer))
    return StoredUnits(run.result(stage), run.units(stage))


def _seeds_of(settings: Settings) -> list[Need]:
    return [(settings.maps, settings)]


def _label_worker(run: Run, names: Sequence[str]) -> UnitWorker:
    dataset = datasets.open_dataset(run.settings.data, run.settings.infer.split)
    seeds, settings, crf = stored(run, run.settings.maps), run.settings.labels, run.settings.crf.model_dump()

    def work(name: str) -> np.ndarray:
        maps, image = stored_seed_maps(seeds[name]), dataset.image(name)
        return affinity_labels(maps, seeds[name]["keys"], image, fg=settings.foreground, bg=settings.background, **crf)

    return work


def _train_affinity(run: Run, result: Result) -> None:
    settings = run.settings.affinity
    train_affinity_net(
        datasets.open_dataset(run.settings.data, settings.images.split),
        stored(run, "labels", settings.images),
        settings,
        seed=run.settings.seed,
        folder=result.folder,
        device=run.device,
        num_workers=run.num_workers,
    )
    if launch.is_first():
        result.path(CHECKPOINT).unlink()


def trained_affinity_net(run: Run) -> AffinityNet:
    """The affinity network of a run whose stage `affinity` is finished."""
    net = build_affinity_net(run.settings.affinity.backbone, weights=None)
    state = torch.load(run.result("affinity").path(WEIGHTS), map_location="cpu", weights_only=True)
    net.load_state_dict(state)
    use_fast_convolutions(net, run.device)
    return net.to(run.device, memory_format=torch.channels_last).eval()


def _walk_worker(run: Run, names: Sequence[str]) -> UnitWorker:
    net, settings = trained_affinity_net(run), run.settings.walk
    dataset = datasets.open_dataset(run.settings.data, run.settings.infer.split)
    seeds = stored(run, run.settings.maps)

    def work(name: str) -> dict[str, np.ndarray]:
        unit = seeds[name]
        maps = torch.as_tensor(stored_seed_maps(unit, stride=4)).to(run.device)
        image = normalize(dataset.image(name), net.normalization).to(run.device)
        edges = boundary(net, image, pad_to=settings.pad_to)
        walked = walk_maps(maps, edges, **settings.model_dump(exclude={"pad_to"}))
        found = {"walked": walked.cpu().numpy(), "boundary": edges.cpu().numpy().astype(np.float16)}
        return {"keys": unit["keys"], "size": unit["size"], **found}

    return work


def _sources_of_masks(settings: Settings) -> list[Need]:
    stage = scored_stage(settings)
    needs = [(stage, settings)]
    if settings.masks.tuning:
        needs.append((stage, of_images(settings, settings.masks.tuning)))
    return needs


def scored_stage(settings: Settings) -> str:
    """The stage whose maps become masks."""
    return "walk" if settings.masks.walk else settings.maps


def mask_threshold(run: Run) -> float:
    """The threshold of the settings, or the one that is best on the images of `masks.tuning`."""
    settings = run.settings.masks
    if settings.threshold is not None:
        return settings.threshold
    dataset = datasets.open_dataset(run.settings.data, settings.tuning.split)
    sweep = sweep_units(dataset, stored(run, scored_stage(run.settings), settings.tuning))
    return float(sweep.thresholds[sweep.best()])


def _mask_worker(run: Run, names: Sequence[str]) -> UnitWorker:
    settings, threshold = run.settings, mask_threshold(run)
    dataset = datasets.open_dataset(settings.data, settings.infer.split)
    units = stored(run, scored_stage(settings))

    def work(name: str) -> np.ndarray:
        mask = predicted_mask(units[name], threshold)
        return refined_mask(dataset.image(name), mask, settings.crf) if settings.masks.crf else mask

    return work


def _affinity_weights(run: Run) -> list[Path]:
    return [run.result("affinity").path(WEIGHTS)]


STAGES = {
    "labels": Stage(
        help="what the maps are sure of, refined by the CRF: the labels of the affinity network",
        reads=("labels", "crf"),
        needs=_seeds_of,
        units=image_names,
        worker=_label_worker,
        on_cpu=True,
        suffix=".png",
    ),
    "affinity": Stage(
        help="train the network that finds the boundaries of objects",
        reads=("seed", "affinity"),
        needs=lambda settings: [("labels", of_images(settings, settings.affinity.images))],
        whole=_train_affinity,
        shared=True,
    ),
    "walk": Stage(
        help="let the maps spread within the boundaries (random walk)",
        reads=("walk",),
        needs=lambda settings: [*_seeds_of(settings), ("affinity", settings)],
        units=image_names,
        worker=_walk_worker,
        inputs=_affinity_weights,
    ),
    "masks": Stage(
        help="pseudo masks, as palette pictures",
        reads=("masks", "crf"),
        needs=_sources_of_masks,
        units=image_names,
        worker=_mask_worker,
        on_cpu=True,
        suffix=".png",
    ),
}
