"""The inputs of the stages `cam` and `rib`. Worker processes decode and augment them ahead of time, in the order of their use.

If an adaptation ends before its last step, the feed requests no more batches of that image and drops the few that are
prepared already.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ribstudy.datasets.base import DataError, Dataset
from ribstudy.datasets.transforms import Normalization, views
from ribstudy.method.auxiliary import AuxiliaryDraws, auxiliary_batch
from ribstudy.method.settings import AuxiliarySettings
from ribstudy.runtime.loading import load_ahead

OWN_VIEWS = -1  # instead of a step: the views of the image itself
Request = tuple[int, int]  # index of the image, step
AHEAD = 2  # items that each worker prepares in advance; a batch of 20 crops of 512 pixels takes 63 MB of shared memory


class OwnViews(torch.utils.data.Dataset):
    """For each image, its size (H, W) and its views at all scales."""

    def __init__(self, dataset: Dataset, names: Sequence[str], scales: Sequence[float], normalization: Normalization):
        self.dataset = dataset
        self.names = list(names)
        self.scales = scales
        self.normalization = normalization

    def num_batches(self, index: int) -> int:
        """The number of auxiliary batches for an image."""
        return 0

    def __getitem__(self, request: Request) -> tuple[Request, object]:
        """The requested item, or the error if an image cannot be read, so that the worker process continues."""
        try:
            return request, self._load(*request)
        except (ValueError, OSError) as error:
            own = request[1] == OWN_VIEWS
            return request, error if own else DataError(f"an auxiliary image: {error}")

    def _load(self, index: int, step: int) -> object:
        image = self.dataset.image(self.names[index])
        return image.shape[:2], views(image, self.scales, self.normalization)


class ViewsAndAuxiliaryImages(OwnViews):
    """In addition to the views, a batch of auxiliary images for each image and step, drawn from `auxiliary`."""

    def __init__(self, *own, auxiliary: Dataset, draws: AuxiliaryDraws, settings: AuxiliarySettings, seed: int):
        super().__init__(*own)
        self.auxiliary, self.draws, self.settings, self.seed = auxiliary, draws, settings, seed

    def num_batches(self, index: int) -> int:
        return self.draws.num_steps(self.names[index])

    def _load(self, index: int, step: int) -> object:
        if step == OWN_VIEWS:
            return super()._load(index, step)
        name = self.names[index]
        chosen = self.draws.of(name, step)
        return auxiliary_batch(self.auxiliary, chosen, name, step, self.settings, self.normalization, seed=self.seed)


class Feed:
    """Returns the inputs of one image after another. `num_workers` processes prepare them (0: they are prepared on request)."""

    def __init__(self, inputs: OwnViews, *, num_workers: int = 0, device: str = "cpu"):
        self._inputs = inputs
        self._place = {name: place for place, name in enumerate(inputs.names)}
        self._current = 0
        self._device = device
        pin_memory = torch.device(device).type == "cuda"
        self._items = load_ahead(inputs, self._requests(), num_workers=num_workers, ahead=AHEAD, pin_memory=pin_memory)

    def views(self, name: str) -> tuple[tuple[int, int], list[Tensor]]:
        """Size (H, W) and views of an image. Images come in the order of the names, each once."""
        self._current = self._place[name]
        size, own_views = self._take(OWN_VIEWS)
        return size, [self._move(view) for view in own_views]

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The auxiliary batches of the image of the last call of `views`, one for each step."""
        for step in range(self._inputs.num_batches(self._current)):
            images, labels = self._take(step)
            yield self._move(images), self._move(labels)

    def _requests(self) -> Iterator[Request]:
        """The requests for the workers; read when a worker is free."""
        for index in range(len(self._inputs.names)):
            for step in (OWN_VIEWS, *range(self._inputs.num_batches(index))):
                if index < self._current:
                    break
                yield index, step

    def _take(self, step: int) -> object:
        for request, loaded in self._items:
            if tuple(request) == (self._current, step):
                if isinstance(loaded, Exception):
                    raise loaded
                return loaded
        raise AssertionError(f"nothing was prepared for {self._inputs.names[self._current]}, step {step}")

    def _move(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._device, non_blocking=True)
