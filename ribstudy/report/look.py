"""Maps of photographs by RIB and other methods: an ImageNet classifier, adapted to one photograph without any training. ::

    python -m ribstudy look photo.jpg                        # a report with RIB's map after every step; the most probable class
    python -m ribstudy look photo.jpg --class "Egyptian cat" --class sofa --method rib --method layercam
    python -m ribstudy look holiday/ --top 2 --out holiday.html
    python -m ribstudy look photo.jpg --model resnet50 --weights resnet50.pt
    python -m ribstudy look coffee --out book/_static/look_coffee.png

The last line makes the figure of README.md; `coffee` is one of the installed photographs (see `photographs`).

There are no masks here, so these figures illustrate the method and measure nothing. The maps and the ranking of classes ignore
the bias of the head: in EfficientNet-Lite0 its standard deviation is 0.05, while the top logits are 4 to 8, and every installed
photograph has the same top class with and without it.

Shapes: C = 1,000 classes, H x W pixels at the working size, S steps.
"""

import itertools
import logging
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from skimage import data as skimage_data
from sklearn.datasets import load_sample_image
from torch import Tensor

from ribstudy.datasets.pictures import SUFFIXES, read_picture
from ribstudy.datasets.transforms import normalize, resize, views
from ribstudy.method.maps import seed_maps
from ribstudy.method.other.advcam import climb
from ribstudy.method.other.gradcam import class_maps
from ribstudy.method.rib import adapt
from ribstudy.method.settings import AdvCamSettings, RibSettings
from ribstudy.models.cam_net import CamNet, build_imagenet_cam_net
from ribstudy.models.imagenet_classifiers import PACKAGED
from ribstudy.report import look_report
from ribstudy.report.figures.look import CONTOUR, draw
from ribstudy.report.imagenet_classes import class_index, class_names, search_classes
from ribstudy.report.look_settings import LOOK_SETTINGS, METHODS, Settings, title_of

__all__ = [
    "CONTOUR",
    "LOOK_SETTINGS",
    "METHODS",
    "Explanation",
    "class_index",
    "class_names",
    "draw",
    "explain",
    "explanations",
    "look",
    "photographs",
    "search_classes",
    "title_of",
]

LONG_SIDE = 320  # pixels; at the classifier's own 224 a map has 14 x 10 positions, too few to see it grow
AUXILIARY_SIDE = 224  # pixels, the training size of the classifier, which only classifies the auxiliary photographs
NUM_AUXILIARY = 3
REPORT = ".html"  # the suffix of a report; other suffixes are of figures

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Explanation:
    """The maps of one photograph and one class by one method.

    Args:
        image: uint8 [H, W, 3], the photograph at the working size.
        class_name: the class.
        probability: its softmax probability before the adaptation.
        maps: float32 [S, H, W] in 0..1, each divided by its own maximum; maps[k] is the sum of the first k + 1 steps.
        scores: at most [S], the pooled logits of the class before each step of RIB, summed over the views of the objective;
            empty for other methods.
        method: the name of the method as figures print it.
    """

    image: np.ndarray
    class_name: str
    probability: float
    maps: np.ndarray
    scores: np.ndarray
    method: str = "RIB"

    @property
    def cam(self) -> np.ndarray:
        """[H, W]: the map of the first step; for RIB and AdvCAM the CAM of the unchanged classifier and photograph."""
        return self.maps[0]

    @property
    def rib(self) -> np.ndarray:
        """[H, W]: the sum over all steps."""
        return self.maps[-1]


def photographs() -> dict[str, np.ndarray]:
    """The colour and grey photographs, uint8 [H, W, 3], that come with installed packages; nothing is downloaded.

    Textures, drawings and scientific images of scikit-image are left out. `flower` and `china` (scikit-learn) are licensed
    under CC BY 2.0: name their authors, listed in README.txt next to the files, when you show them.
    """
    return {
        "cat": skimage_data.chelsea(),
        "coffee": skimage_data.coffee(),
        "motorcycle": skimage_data.stereo_motorcycle()[0],
        "rocket": skimage_data.rocket(),
        "astronaut": skimage_data.astronaut(),
        "camera": np.repeat(skimage_data.camera()[:, :, None], 3, axis=2),
        "flower": load_sample_image("flower.jpg"),
        "china": load_sample_image("china.jpg"),
    }


def explain(
    net: CamNet, image: np.ndarray, class_index: int | None = None, *, settings: Settings = LOOK_SETTINGS
) -> Explanation:
    """The maps of a photograph for one class, after each step of a method. The weights of `net` do not change.

    Args:
        net: `build_imagenet_cam_net()`.
        image: uint8 [H, W, 3] of any size; it is first resized so that its longer side has `LONG_SIDE` pixels.
        class_index: the class to explain, 0..999; None: the most probable class.
        settings: of the method: `RibSettings`, `AdvCamSettings`, or `BaselineSettings` for a method of torch-cam (see
            `METHODS`). RIB may use several scales; the other methods use the photograph at the working size.
    """
    image = _fit(image)
    probabilities = class_probabilities(net, image)
    if class_index is None:
        class_index = int(probabilities.argmax())
    if isinstance(settings, RibSettings):
        steps, scores = _adapted(net, image, class_index, settings)
    else:
        view = views(image, [1.0], net.normalization)[0].to(net.classifier.weight.device)
        climbs = isinstance(settings, AdvCamSettings)
        maps = climb(net, view, class_index, settings) if climbs else class_maps(net, view, [class_index], settings)
        steps, scores = [maps], []
    sums = [[maps[:count].sum(dim=0)[None] for maps in steps] for count in range(1, len(steps[0]) + 1)]
    return Explanation(
        image=image,
        class_name=class_names()[class_index],
        probability=float(probabilities[class_index]),
        maps=np.concatenate([seed_maps(maps, image.shape[:2]).cpu().numpy() for maps in sums]),
        scores=np.array(scores),
        method=title_of(settings),
    )


def _adapted(net: CamNet, image: np.ndarray, class_index: int, settings: RibSettings) -> tuple[list[Tensor], list[float]]:
    """RIB's maps of a class, [S, h, w] per scale, and the pooled logits."""
    labels = torch.zeros(net.classifier.out_channels)
    labels[class_index] = 1
    batches = itertools.repeat(auxiliary_batch(net, image, class_index))
    result = adapt(net, views(image, settings.scales, net.normalization), labels, batches, settings)
    return [torch.stack([maps[class_index] for maps in iterates]) for iterates in result.iterates], result.scores


def class_probabilities(net: CamNet, image: np.ndarray) -> Tensor:
    """The softmax probabilities [C] of a photograph, uint8 [H, W, 3], without the bias of the head; a mean over both views."""
    (view,) = views(image, [1.0], net.normalization)
    return _logits(net, view).mean(dim=0).softmax(dim=0)


def auxiliary_batch(net: CamNet, image: np.ndarray, class_index: int) -> tuple[Tensor, Tensor]:
    """The auxiliary images of every step, from the installed photographs: images [B, 3, s, s] and labels [B, C].

    Each photograph is cropped to its central square and labelled with its own top class. The three with the highest top
    probability are used, except `image` itself (uint8 [H, W, 3] at the working size) and photographs that have `class_index`
    among their five top classes: the cat is not an auxiliary image for "tabby".
    """
    others = [photo for photo in photographs().values() if not np.array_equal(_fit(photo), image)]
    squares = torch.stack([normalize(_central_square(photo), net.normalization) for photo in others])
    top = _logits(net, squares).softmax(dim=1).topk(5, dim=1)
    surest_first = top.values[:, 0].argsort(descending=True, stable=True).tolist()
    chosen = [i for i in surest_first if class_index not in top.indices[i]][:NUM_AUXILIARY]
    labels = torch.zeros(len(chosen), len(class_names()))
    labels[range(len(chosen)), top.indices[chosen, 0].cpu()] = 1
    return squares[chosen], labels


def _fit(image: np.ndarray) -> np.ndarray:
    factor = LONG_SIDE / max(image.shape[:2])
    return resize(image, *(max(round(length * factor), 1) for length in image.shape[:2]))


def _central_square(image: np.ndarray) -> np.ndarray:
    side = min(image.shape[:2])
    top, left = ((length - side) // 2 for length in image.shape[:2])
    return resize(image[top : top + side, left : left + side], AUXILIARY_SIDE, AUXILIARY_SIDE)


def _logits(net: CamNet, images: Tensor) -> Tensor:
    with torch.no_grad():
        return net(images.to(net.classifier.weight.device)).mean(dim=(2, 3))


def look(
    photos: Sequence[Path | str],
    *,
    classes: Sequence[str] = (),
    top: int = 1,
    methods: Sequence[str] = ("rib",),
    model: str = PACKAGED,
    weights: Path | str = "imagenet",
    learning_rate: float | None = None,
    out: Path | str | None = None,
) -> Path:
    """Writes a report on photographs, or the figure of a single map, and returns the path of the file.

    Args:
        photos, classes, top, methods, model, weights, learning_rate: see `explanations`.
        out: the file to write. ".html" is a report in one file, any other suffix a figure. None: the report
            `<photo>_look.html` next to the photograph or folder, or in the current folder for an installed photograph; for
            several photos `look.html` in the current folder.

    Raises:
        ValueError: as `explanations`, or a path that cannot be written; before the first map is computed.
    """
    out = Path(out) if out is not None else _default_out([Path(photo) for photo in photos])
    num_photos = sum(len(_files(Path(photo))) for photo in photos)
    _check_out(out, num_maps=num_photos * (len(classes) or top) * len(methods))
    given = {"model": model, "weights": weights, "learning_rate": learning_rate}
    found = explanations(photos, classes=classes, top=top, methods=methods, **given)
    if out.suffix.lower() == REPORT:
        out.write_text(look_report.page(list(found), model=model), encoding="utf-8")
    else:
        draw(next(found)[1]).savefig(out, dpi=120)
    return out


def explanations(
    photos: Sequence[Path | str],
    *,
    classes: Sequence[str] = (),
    top: int = 1,
    methods: Sequence[str] = ("rib",),
    model: str = PACKAGED,
    weights: Path | str = "imagenet",
    learning_rate: float | None = None,
) -> Iterator[tuple[str, Explanation]]:
    """Each map with the name of its photograph, in the order of photographs, classes and methods.

    Args:
        photos: image files (see `read_picture`), folders of them, and names of installed photographs.
        classes: ImageNet classes; none: the `top` most probable classes of each photograph.
        methods: names of `METHODS`.
        model, weights: see `imagenet_classifier`.
        learning_rate: of RIB, above 0; None: the rate that was chosen for the default model.

    Raises:
        ValueError: an unreadable file, an unknown class, method or model, or a bad rate; before the first map is computed.
        FloatingPointError: RIB diverges; a smaller rate helps.
    """
    settings = [_method(name, learning_rate) for name in methods]
    indices = [class_index(name) for name in classes]
    if top < 1:
        raise ValueError(f"the number of most probable classes is {top}, but at least 1 is needed")
    images = dict(_images(photos))
    return _explained(build_imagenet_cam_net(model, weights), images, indices, top, settings)


def _explained(
    net: CamNet, images: dict[str, np.ndarray], indices: list[int], top: int, settings: list[Settings]
) -> Iterator[tuple[str, Explanation]]:
    for place, (name, image) in enumerate(images.items(), start=1):
        wanted = indices or class_probabilities(net, image).topk(top).indices.tolist()
        for index, chosen in itertools.product(wanted, settings):
            log.info("%s (%d of %d): %s, %s", name, place, len(images), class_names()[index], title_of(chosen))
            yield name, explain(net, image, index, settings=chosen)


def _method(name: str, learning_rate: float | None) -> Settings:
    if name not in METHODS:
        raise ValueError(f"method {name!r} is unknown; known: {', '.join(METHODS)}")
    settings = METHODS[name]
    if learning_rate is None or not isinstance(settings, RibSettings):
        return settings
    if not (learning_rate > 0 and math.isfinite(learning_rate)):
        raise ValueError(f"the learning rate is {learning_rate}, but a number above 0 is needed")
    return settings.model_copy(update={"learning_rate": learning_rate})


def _default_out(photos: Sequence[Path]) -> Path:
    return photos[0].with_name(f"{photos[0].stem}_look{REPORT}") if len(photos) == 1 else Path(f"look{REPORT}")


def _check_out(out: Path, *, num_maps: int) -> None:
    if not out.parent.is_dir():
        raise ValueError(f"{out}: the folder {out.parent} does not exist; create it, or choose another one with --out")
    if not os.access(out.parent, os.W_OK):
        raise ValueError(f"{out}: the folder {out.parent} is not writable; choose another one with --out")
    known = [REPORT.removeprefix("."), *Figure().canvas.get_supported_filetypes()]
    if out.suffix.lower().removeprefix(".") not in known:
        raise ValueError(f"{out}: the suffix {out.suffix!r} is not known; known: {', '.join(known)}")
    if out.suffix.lower() != REPORT and num_maps > 1:
        raise ValueError(f"{out}: a figure shows one map, but {num_maps} are asked for; write a report with --out NAME{REPORT}")


def _images(photos: Sequence[Path | str]) -> Iterator[tuple[str, np.ndarray]]:
    """The photographs at the working size, by the name that the report shows. Raises ValueError with all unreadable files."""
    problems = []
    for photo in photos:
        for path in _files(Path(photo)):
            try:
                yield str(path), _fit(_open(path))
            except ValueError as error:
                problems.append(str(error))
    if problems:
        raise ValueError("\n".join(problems))


def _files(photo: Path) -> list[Path]:
    """The image files of a folder in alphabetical order, or `photo` itself. Raises ValueError for a folder without any."""
    if not photo.is_dir():
        return [photo]
    files = sorted(path for path in photo.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))
    if not files:
        raise ValueError(f"{photo}: the folder contains no image file ({', '.join(SUFFIXES)})")
    return files


def _open(photo: Path) -> np.ndarray:
    if photo.exists():
        return read_picture(photo)
    installed = photographs()
    if str(photo) not in installed:
        raise ValueError(f"{photo}: no such file, and no installed photograph has this name (known: {', '.join(installed)})")
    return installed[str(photo)]
