"""CAM and RIB on photographs: the pretrained ImageNet classifier, adapted to one photograph without any training. ::

    python -m ribstudy look photo.jpg                        # any image; the most probable class
    python -m ribstudy look photo.jpg --class "Egyptian cat"
    python -m ribstudy look --search cat                     # the ImageNet classes with "cat" in their name
    python -m ribstudy look cat --out book/_static/look_cat.png

The last line makes the figure of the front page; `cat` is one of the installed photographs (see `photographs`).

There are no masks here, so these figures illustrate the method and measure nothing. The maps and the ranking of classes ignore
the bias of the head: its standard deviation is 0.05, while the top logits are 4 to 8, and every installed photograph has the
same top class with and without it.

Shapes: C = 1,000 classes, H x W pixels at the working size, S steps.
"""

import difflib
import itertools
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from skimage import data as skimage_data
from sklearn.datasets import load_sample_image
from torch import Tensor

from ribstudy.runtime import torchvision_operators  # noqa: F401  (before timm)

# isort: split
from timm.data import ImageNetInfo

from ribstudy.datasets.pictures import read_picture
from ribstudy.datasets.transforms import normalize, resize, views
from ribstudy.method.maps import seed_maps
from ribstudy.method.rib import StoppedBy, adapt
from ribstudy.method.settings import RibSettings
from ribstudy.models.cam_net import CamNet, build_imagenet_cam_net

# We chose these values without masks, by a rule that we wrote down after we had seen the curves. Learning rate: the largest of
# 5e-5, 7.5e-5, 1e-4 and 1.5e-4 at which the pooled logit ends within a tenth of its peak on all seven installed photographs
# except the cat of the front page (rocket as "missile", flower as "daisy", the others with their top class). At 1.5e-4 four of
# them drop further, and their maps spread into the background. Even at 1e-4, the rocket's own top class "drilling platform"
# ends at 0.81 of its peak, and the cat, whose region below tau becomes tiny, at 0.47.
# There is no spread stop, because an object may fill a photograph, as the cat does.
LOOK_SETTINGS = RibSettings(iterations=10, learning_rate=1e-4, spread_ratio=1.0, scales=(1.0,), loss_scales=(1.0,))
LONG_SIDE = 320  # pixels; at the classifier's own 224 a map has 14 x 10 positions, too few to see it grow
AUXILIARY_SIDE = 224  # pixels, the training size of the classifier, which only classifies the auxiliary photographs
NUM_AUXILIARY = 3
CONTOUR = 0.3  # share of the maximum at which a line is drawn; the reference code counts positions above it as covered


@dataclass(frozen=True, eq=False)
class Explanation:
    """CAM and RIB of one photograph and one class.

    image: uint8 [H, W, 3], the photograph at the working size.
    class_name, probability: the class and its softmax probability before the adaptation.
    maps: float32 [S, H, W] in 0..1, each divided by its own maximum; maps[k] is the sum of the first k + 1 steps.
    scores: at most [S], the pooled logits of the class before each step, summed over the views of the objective.
    stopped_by: the reason why the adaptation ended; S is the number of iterations unless an early stop ended it.
    """

    image: np.ndarray
    class_name: str
    probability: float
    maps: np.ndarray
    scores: np.ndarray
    stopped_by: StoppedBy

    @property
    def cam(self) -> np.ndarray:
        """[H, W]: the map of the unadapted classifier, which is the first term of RIB's sum."""
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


@cache
def class_names() -> tuple[str, ...]:
    """The 1,000 ImageNet classes in the order of the outputs, as comma-separated synonyms.

    Two classes are called "crane"; a description in brackets distinguishes them.
    """
    info = ImageNetInfo()
    names = [info.index_to_description(index) for index in range(info.num_classes())]
    count = Counter(names)
    glosses = (info.index_to_description(index, detailed=True).partition(": ")[2] for index in range(len(names)))
    return tuple(f"{name} ({gloss})" if count[name] > 1 else name for name, gloss in zip(names, glosses, strict=True))


def search_classes(text: str) -> list[str]:
    """The ImageNet classes whose name contains `text`, else with a similar name. Raises ValueError if there are none."""
    found = [name for name in class_names() if text.casefold() in name.casefold()] or _similar_classes(text)
    if not found:
        raise ValueError(f"no ImageNet class has a name that contains {text!r} or is similar to it")
    return found


def class_index(name: str) -> int:
    """The index of a class, given its full name or one of its synonyms, in upper or lower case.

    Raises ValueError for an unknown name, with similar ones, and for a synonym that several classes have.
    """
    wanted = name.strip().casefold()
    full = [index for index, known in enumerate(class_names()) if known.casefold() == wanted]
    found = full or [index for index, known in enumerate(class_names()) if wanted in _synonyms(known)]
    if len(found) == 1:
        return found[0]
    if found:
        either = " or ".join(repr(class_names()[index]) for index in found)
        raise ValueError(f"class {name!r} may mean {either}: pass the full name")
    near = _similar_classes(name) or [known for known in class_names() if wanted and wanted in known.casefold()][:3]
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "see python -m ribstudy look --search TEXT"
    raise ValueError(f"class {name!r} is unknown to ImageNet; {hint}")


def _synonyms(name: str) -> list[str]:
    return [synonym.strip().casefold() for synonym in name.partition(" (")[0].split(",")]


def _similar_classes(text: str) -> list[str]:
    owners = {synonym: name for name in class_names() for synonym in _synonyms(name)}
    near = difflib.get_close_matches(text.strip().casefold(), owners, n=3, cutoff=0.7)
    return list(dict.fromkeys(owners[synonym] for synonym in near))


def explain(
    net: CamNet, image: np.ndarray, class_index: int | None = None, *, settings: RibSettings = LOOK_SETTINGS
) -> Explanation:
    """Adapts the ImageNet classifier to a photograph and returns the maps of all steps. The weights of `net` do not change.

    Args:
        net: `build_imagenet_cam_net()`.
        image: uint8 [H, W, 3] of any size; it is first resized so that its longer side has `LONG_SIDE` pixels.
        class_index: the class to explain, 0..999; None: the most probable class.
        settings: as for `adapt`; CAM and RIB use the same scales.
    """
    image = _fit(image)
    image_views = views(image, settings.scales, net.normalization)
    probabilities = _logits(net, image_views[0]).mean(dim=0).softmax(dim=0)
    if class_index is None:
        class_index = int(probabilities.argmax())
    labels = torch.zeros(len(probabilities))
    labels[class_index] = 1
    batches = itertools.repeat(auxiliary_batch(net, image, class_index))
    result = adapt(net, image_views, labels, batches, settings)
    own = [[maps[class_index, None] for maps in iterates] for iterates in result.iterates]
    sums = [[sum(iterates[:step]) for iterates in own] for step in range(1, result.steps + 1)]
    return Explanation(
        image=image,
        class_name=class_names()[class_index],
        probability=float(probabilities[class_index]),
        maps=np.concatenate([seed_maps(maps, image.shape[:2]).cpu().numpy() for maps in sums]),
        scores=np.array(result.scores),
        stopped_by=result.stopped_by,
    )


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


def draw(explanation: Explanation) -> Figure:
    """Up to six panels in two rows: the photograph, CAM, and RIB after several steps, including the last.

    The maps are drawn over the grey photograph with one colour scale from 0 to 1, and a line at `CONTOUR`.
    """
    steps = np.unique(np.linspace(1, len(explanation.maps), 5).round().astype(int))
    height, width = explanation.image.shape[:2]
    panel_height = min(2 * height / width, 4) + 0.3  # inches, limited for tall photographs; 0.3 for the title
    figure = Figure(figsize=(6, 2 * panel_height + 0.7), layout="constrained")  # at 6 inches, 12 points are 11 px on a phone
    figure.suptitle(f"{explanation.class_name.split(',')[0]} ({explanation.probability:.0%})", fontsize=13)
    figure.supxlabel(f"bright: near the map's maximum; line: {CONTOUR} of it", fontsize=11)
    panels = figure.subplots(2, 3).flat
    for panel in panels:
        panel.axis("off")
    panels = figure.axes
    panels[0].imshow(explanation.image)
    panels[0].set_title("photograph", fontsize=12)
    for panel, step in zip(panels[1:], steps, strict=False):
        _draw_map(panel, explanation.image, explanation.maps[step - 1])
        panel.set_title("CAM" if step == 1 else f"RIB, {step} steps", fontsize=12)
    return figure


def _draw_map(panel, image: np.ndarray, heat: np.ndarray) -> None:
    panel.imshow(image.mean(axis=2), cmap="gray", vmin=0, vmax=255)
    panel.imshow(heat, cmap="inferno", vmin=0, vmax=1, alpha=np.clip(1.2 * heat, 0, 0.75))  # transparent over the background
    if heat.min() < CONTOUR < heat.max() and min(heat.shape) > 1:  # otherwise matplotlib warns that there is no line
        panel.contour(heat, [CONTOUR], colors="cyan", linewidths=1)


def look(photo: Path | str, *, class_name: str | None = None, out: Path | None = None) -> Path:
    """Draws CAM and RIB of a photograph to an image file and returns the path of the file.

    Args:
        photo: an image file (see `read_picture`), or if it does not exist, the name of an installed photograph.
        class_name: an ImageNet class; None: the most probable class.
        out: the file to write; None: `<photo>_rib.png` next to the photograph, or in the current folder for an installed one.

    Raises:
        ValueError: an unreadable file, an unknown class, or a path that cannot be written; before the adaptation starts.
    """
    photo = Path(photo)
    out = Path(out) if out is not None else photo.with_name(f"{photo.stem}_rib.png")
    _check_out(out)
    index = None if class_name is None else class_index(class_name)
    image = _open(photo)
    draw(explain(build_imagenet_cam_net(), image, index)).savefig(out, dpi=120)
    return out


def _check_out(out: Path) -> None:
    if not out.parent.is_dir():
        raise ValueError(f"{out}: the folder {out.parent} does not exist")
    known = Figure().canvas.get_supported_filetypes()
    if out.suffix.lower().removeprefix(".") not in known:
        raise ValueError(f"{out}: the suffix {out.suffix!r} is not known for figures; known: {', '.join(sorted(known))}")


def _open(photo: Path) -> np.ndarray:
    if photo.exists():
        return read_picture(photo)
    installed = photographs()
    if str(photo) not in installed:
        raise ValueError(f"{photo}: no such file, and no installed photograph has this name (known: {', '.join(installed)})")
    return installed[str(photo)]
