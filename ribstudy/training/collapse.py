"""Detects a segmentation network that has collapsed to predicting only background."""

from collections.abc import Mapping


class Collapsed(ArithmeticError):
    """The segmentation network predicts only background."""


class CollapseWatch:
    """Reads the losses of `segmentation_loss` at every step and raises `Collapsed` after many steps without a predicted object.

    It counts consecutive steps whose masks contain objects but whose predictions do not, up to `patience`. Steps whose masks
    contain no object are skipped. A resumed training starts to count from zero.
    """

    def __init__(self, patience: int = 500):
        self.patience = patience
        self._start = 0
        self._count = 0

    def __call__(self, step: int, losses: Mapping[str, float]) -> None:
        if losses["foreground"] > 0:
            self._count = 0
        elif losses["labelled_foreground"] > 0:
            self._start = self._start if self._count else step
            self._count += 1
        if self._count >= self.patience:
            raise Collapsed(
                f"step {step}: the network has predicted nothing but background since step {self._start}, although the masks "
                'contain objects; try segmentation.loss="balanced", a smaller learning_rate, or weights="imagenet"'
            )
