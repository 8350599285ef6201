"""From pseudo masks to a segmentation network and its predictions: the stages `segmentation`, `scores` and `predictions`."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from ribstudy import datasets
from ribstudy.config import Settings
from ribstudy.masks.crf import refine_probabilities
from ribstudy.masks.deeplab import predict_logits, predicted, probabilities_at
from ribstudy.models.deeplab import DeepLab, build_deeplab
from ribstudy.models.kernels import use_fast_convolutions
from ribstudy.runtime import ranks as launch
from ribstudy.stages.execution import Need, Run, Stage, UnitWorker, after
from ribstudy.stages.maps import image_names
from ribstudy.stages.masks import of_images, stored
from ribstudy.store import Result
from ribstudy.training.deeplab import WEIGHTS, train_deeplab
from ribstudy.training.loop import CHECKPOINT


def _teacher(settings: Settings) -> list[Need]:
    """What the network learns from; of the data set's own masks only that they are sound."""
    learned = of_images(settings, settings.segmentation.images)
    return [("data" if settings.segmentation.truth == "dataset" else "masks", learned)]


def _train(run: Run, result: Result) -> None:
    settings = run.settings
    dataset = datasets.open_dataset(settings.data, settings.segmentation.images.split)
    names, mask_of = _examples(run)
    train_deeplab(
        dataset,
        names,
        mask_of,
        settings.segmentation,
        seed=settings.seed,
        folder=result.folder,
        device=run.device,
        num_workers=run.num_workers,
    )
    if launch.is_first():
        result.path(CHECKPOINT).unlink()


def _examples(run: Run) -> tuple[list[str], Callable[[str], np.ndarray]]:
    """The names of the training images, and what gives their masks."""
    images = run.settings.segmentation.images
    names = image_names(run.under(of_images(run.settings, images)))
    if run.settings.segmentation.truth == "masks":
        return names, stored(run, "masks", images).__getitem__
    dataset = datasets.open_dataset(run.settings.data, images.split)
    lacking = sorted(set(names) - set(dataset.masked_names))
    if lacking:
        raise ValueError(
            f"segmentation.truth = 'dataset': {len(lacking)} of {len(names)} training images have no mask, such as "
            f"{lacking[0]}; set segmentation.images.masked=true to leave them out"
        )
    return names, dataset.mask


def trained_deeplab(run: Run) -> DeepLab:
    """The segmentation network of a run whose stage `segmentation` is finished."""
    settings = run.settings.segmentation
    num_classes = len(datasets.class_names(run.settings.data)) + 1
    net = build_deeplab(settings.backbone, num_classes, weights=None, output_stride=settings.output_stride)
    net.load_state_dict(torch.load(run.result("segmentation").path(WEIGHTS), map_location="cpu", weights_only=True))
    use_fast_convolutions(net, run.device)
    return net.to(run.device, memory_format=torch.channels_last).eval()


def _score_worker(run: Run, names: Sequence[str]) -> UnitWorker:
    net, settings = trained_deeplab(run), run.settings.scores
    dataset = datasets.open_dataset(run.settings.data, run.settings.infer.split)

    def work(name: str) -> dict[str, np.ndarray]:
        image = dataset.image(name)
        logits = predict_logits(net, image, scales=settings.scales, flip=settings.mirror, fusion=settings.fusion)
        return {"logits": logits.numpy().astype(np.float16), "size": np.array(image.shape[:2])}

    return work


def _prediction_worker(run: Run, names: Sequence[str]) -> UnitWorker:
    scores, settings = stored(run, "scores"), run.settings.predictions
    dataset = datasets.open_dataset(run.settings.data, run.settings.infer.split)

    def work(name: str) -> np.ndarray:
        unit = scores[name]
        logits = torch.as_tensor(unit["logits"].astype(np.float32))
        probabilities = probabilities_at(logits, tuple(unit["size"].tolist())).numpy()
        if settings.crf:
            probabilities = refine_probabilities(dataset.image(name), probabilities)
        return predicted(probabilities)

    return work


def _weights(run: Run) -> list[Path]:
    return [run.result("segmentation").path(WEIGHTS)]


STAGES = {
    "segmentation": Stage(
        help="train DeepLab-v2 on the pseudo masks, or on the data set's own",
        reads=("seed", "data", "segmentation"),
        needs=_teacher,
        whole=_train,
        shared=True,
    ),
    "scores": Stage(
        help="the segmentation network's scores of the images to infer",
        reads=("scores",),
        needs=after("segmentation"),
        units=image_names,
        worker=_score_worker,
        inputs=_weights,
    ),
    "predictions": Stage(
        help="the masks that it predicts, as palette pictures",
        reads=("predictions",),
        needs=after("scores"),
        units=image_names,
        worker=_prediction_worker,
        on_cpu=True,
        suffix=".png",
    ),
}
