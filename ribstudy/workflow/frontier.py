"""The points of the chapter on costs: ways to save steps, images or layers of RIB, controls, and other methods.

Every point is a method with its settings. Learning rates and widths were chosen on the images for choices. They are in the
preset's sections `rib` and `controls`, and the jobs of `choices_on_val` show among which values they were chosen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ribstudy.config import Settings
from ribstudy.method.settings import RibSettings, rate_factors
from ribstudy.stages.controls import COARSE, DILATED, EVALUATE_DILATED
from ribstudy.stages.evaluate import MAP_EVALUATIONS
from ribstudy.stages.maps import CAM, RIB
from ribstudy.stages.stage import ItemStage
from ribstudy.workflow.job import ONE_SUM, Job, Jobs, first_of
from ribstudy.workflow.methods import BLURRED, CAM_NAME, OTHER_METHODS, RIB_NAME

KINDS = ("reference", "saving", "control", "other method")
FAST = "fast"
FEW_STEPS = (2, 3, 5)
DILATIONS = (1, 2, 3)  # widths that are compared on choices
LENGTHS = (0.3, 1.0, 3.0)  # multiples of a length that are compared on choices
NUM_FOR_CHOICES = 60  # images of choices on which learning rates and lengths are compared
BANK = 64  # crops
SHOWN = ("LayerCAM", "AdvCAM")  # of the other methods


@dataclass(frozen=True)
class Point:
    """A method on the frontier.

    Args:
        kind: one of `KINDS`.
        maps: the stage that computes its maps.
        overrides: the settings that differ from the preset.
        about: a short explanation, in a table.
    """

    kind: str
    maps: ItemStage
    overrides: Mapping[str, Any]
    about: str

    @property
    def scores(self) -> ItemStage:
        """The stage that scores its maps."""
        return EVALUATE_DILATED if self.maps is DILATED else MAP_EVALUATIONS[self.maps.name]


def points(settings: Settings) -> dict[str, Point]:
    """The points that are computed, by name in the order of `KINDS`: CAM, RIB, and all others or the preset's choice of them.

    Raises ValueError if `costs.points` names one that does not exist under these settings.
    """
    known = every_point(settings)
    chosen = settings.costs.points if settings.costs else None
    if chosen is None:
        return known
    if unknown := [name for name in chosen if name not in known]:
        raise ValueError(f"costs.points: {unknown[0]!r} is not a point here; known: {'; '.join(known)}")
    return {name: point for name, point in known.items() if point.kind == "reference" or name in chosen}


def every_point(settings: Settings) -> dict[str, Point]:
    """All points by name, including those that the preset leaves out, in the order of `KINDS`."""
    fast = {"rib.mode": "fast", "rib.learning_rate": fast_rate(settings)}
    blur = settings.controls.blur
    return {
        CAM_NAME: Point("reference", CAM, {}, "the plain CAM"),
        RIB_NAME: Point("reference", RIB, {}, "all steps, as in the preset"),
        FAST: Point("saving", RIB, fast, "one step as long as all, without auxiliary images, with the loss at scale 1"),
        **_savings_of_exact(settings),
        **_savings_of_fast(settings, fast),
        BLURRED: Point("control", CAM, {"cam.blur": blur}, f"a Gaussian of {blur:g} positions"),
        f"{CAM_NAME}, dilated": Point(
            "control", DILATED, {"dilation.width": settings.controls.dilation}, "the largest value nearby"
        ),
        "random step": Point("control", RIB, {**fast, "rib.direction": "random"}, "fast, in a random direction"),
        "step on average-pooled logits": Point("control", RIB, {**fast, "rib.direction": "gap"}, "fast, without GNDRP"),
        "step on the training's loss": Point("control", RIB, {**fast, "rib.direction": "bce"}, "fast, with the sigmoid kept"),
        **{name: Point("other method", *OTHER_METHODS[name], "chapter 8") for name in SHOWN},
    }


def _savings_of_exact(settings: Settings) -> dict[str, Point]:
    """Savings that each change one choice of the preset's RIB."""
    rib, auxiliary = settings.rib, settings.auxiliary
    half = {"auxiliary.crop_size": auxiliary.crop_size // 2, "auxiliary.long_side": [side // 2 for side in auxiliary.long_side]}
    alone = {"auxiliary.batch_size": 0}
    # In each step, the weights of the classifier lose half of their distance from the first ones.
    anchored = {**alone, "rib.anchor": float(f"{0.5 / (rib.head_lr_factor * rib.learning_rate):.2g}")}
    found = {
        "no auxiliary images": Point("saving", RIB, alone, "the loss sees only the image"),
        "1 auxiliary image": Point("saving", RIB, {"auxiliary.batch_size": 1}, "in each step"),
        "small auxiliary images": Point("saving", RIB, half, "of half the side"),
        "bank of auxiliary features": Point("saving", RIB, {"auxiliary.bank": BANK}, f"of {BANK} crops"),
        "anchored weights": Point("saving", RIB, anchored, "a penalty on their distance in place of auxiliary images"),
        "last stage": Point("saving", RIB, {"rib.trained": "last_stage"}, "only the last stage and the classifier adapt"),
        "classifier": Point("saving", RIB, {"rib.trained": "classifier"}, "only the classifier adapts, whose input is kept"),
        "stop at the peak": Point("saving", RIB, {"rib.stop_at_peak": True}, "steps end when the logits fall"),
    }
    if rib.loss_scales != (1.0,):
        found["loss at scale 1"] = Point("saving", RIB, {"rib.loss_scales": [1.0]}, "one scale has a backward pass")
    return found


def _savings_of_fast(settings: Settings, fast: Mapping[str, Any]) -> dict[str, Point]:
    """The fast mode in more steps, or with another choice."""
    one_other = {"rib.auxiliary": True, "auxiliary.batch_size": 1}
    return {
        **{
            f"{count} steps": Point("saving", RIB, few_steps(settings, count, factor), "the fast mode's path in several steps")
            for count, factor in zip(FEW_STEPS, settings.controls.few_factors, strict=True)
        },
        "fast, linearised": Point("saving", RIB, {**fast, "rib.path": "line"}, "the maps of all steps from one gradient"),
        "fast, 1 auxiliary image": Point("saving", RIB, {**fast, **one_other}, "which the loss sees too"),
        "fast, last stage": Point("saving", RIB, {**fast, "rib.trained": "last_stage"}, "fast, with fewer layers"),
        "fast, classifier": Point("saving", RIB, {**fast, "rib.trained": "classifier"}, "fast, with the classifier alone"),
        "fast, blurred": Point(
            "saving", RIB, {**fast, "rib.blur": settings.controls.blur}, "the maps of the fast mode, blurred"
        ),
    }


def fast_rate(settings: Settings) -> float:
    """The learning rate of the fast mode."""
    return settings.controls.fast_rate or settings.rib.learning_rate


def few_steps(settings: Settings, count: int, factor: float) -> dict[str, Any]:
    """The fast mode in `count` steps, with the map after the last, as settings; all together `factor` times as long."""
    length = sum(rate_factors(settings.rib)) * fast_rate(settings)
    steps = {"rib.mode": "fast", "rib.path": "steps", "rib.iterations": count, "rib.include_last": True}
    shares = rate_factors(RibSettings(iterations=count, include_last=True, poly_power=settings.rib.poly_power))
    return {**steps, "rib.learning_rate": float(f"{factor * length / sum(shares):.3g}")}


def choices_on_val(settings: Settings) -> dict[tuple, tuple[ItemStage, dict[str, Any]]]:
    """The compared values of learning rates, lengths and widths: by name, the stage that scores the maps, and settings.

    Only of the points that are computed.
    """
    of_rib, rates = MAP_EVALUATIONS["rib"], settings.controls.rates or (fast_rate(settings),)
    found: dict[tuple, tuple[ItemStage, dict[str, Any]]] = {}
    for rate in rates:
        found[FAST, rate] = (of_rib, {"rib.mode": "fast", "rib.learning_rate": rate})
    for count in FEW_STEPS:
        for factor in LENGTHS:
            found[f"{count} steps", factor] = (of_rib, few_steps(settings, count, factor))
    for width in DILATIONS:
        found[f"{CAM_NAME}, dilated", width] = (EVALUATE_DILATED, {"dilation.width": width})
    shown = points(settings)
    return {name: choice for name, choice in found.items() if name[0] in shown}


def cost_seeds(settings: Settings) -> range:
    """The seeds with which the points are repeated."""
    return range(settings.seed, settings.seed + (settings.costs.seeds if settings.costs else 0))


def frontier_jobs(settings: Settings) -> Jobs:
    """The scores of every point for each seed, coarse maps of some images, and the choices on val; none without `costs`.

    Choices and coarse maps have only the first training.
    """
    costs = settings.costs
    if costs is None:
        return {}
    few, alike = first_of(costs.choices, NUM_FOR_CHOICES), first_of(costs.images, costs.num_alike)
    jobs: Jobs = {
        ("val", *name): Job(stage, few, {**changes, **ONE_SUM}) for name, (stage, changes) in choices_on_val(settings).items()
    }
    for name, point in points(settings).items():
        jobs["coarse", name] = Job(COARSE[point.maps.name], alike, dict(point.overrides))
        for seed in cost_seeds(settings):
            changes = {"seed": seed, **point.overrides, **_steps(name)}
            jobs[name, seed, "reported"] = Job(point.scores, costs.images, changes)
            jobs[name, seed, "choices"] = Job(point.scores, costs.choices, changes)
    return jobs


def _steps(name: str) -> dict[str, Any]:
    """As settings, whether every step is scored: of the methods of the chapter on RIB, whose results these are too."""
    return {} if name in (CAM_NAME, RIB_NAME, BLURRED, *SHOWN) else ONE_SUM
