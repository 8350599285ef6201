"""The gains and costs of the points of the chapter on costs, and the chapter's texts and tables about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ribstudy.evaluation.likeness import correlations
from ribstudy.evaluation.map_scores import MapScores
from ribstudy.evaluation.protocol import BEST, FROM_VAL, Resampled, Scored, compare, resample
from ribstudy.evaluation.statistics import NOT_RUN, Comparison, Estimate, bootstrap_mean
from ribstudy.evaluation.sweeps import sweep_scores
from ribstudy.report.chapter import Chapter
from ribstudy.stages.controls import DILATED
from ribstudy.workflow.costs import seconds_per_item
from ribstudy.workflow.frontier import FAST, Point, choices_on_val, cost_seeds, points
from ribstudy.workflow.methods import CAM_NAME, RIB_NAME

CLOSE, TOLERATED = 0.003, 0.01  # the aims: the largest loss of the fast mode in mIoU, and the end of its interval
FEWER, SOONER = 15, 10  # the factors in FLOP and in seconds that we aim at


@dataclass(frozen=True)
class Measured:
    """The scores of a point, the likeness of its maps, and its seconds.

    Args:
        drawn: the resampled scores of its maps.
        alike: the correlation of its maps with the exact ones, a mean over images.
        seconds: wall-clock time of one process for an image; nan if no process logged it.
        updates: the mean number of updates of an adaptation; None for other methods.
    """

    point: Point
    drawn: Resampled
    alike: Estimate
    seconds: float
    updates: float | None


def measure(chapter: Chapter) -> dict[str, Measured]:
    """Every point by name; {} if the preset has no section `costs`."""
    settings = chapter.settings
    if settings.costs is None:
        return {}
    found = {}
    exact = {name: item["maps"] for name, item in chapter.stored("coarse", RIB_NAME).items()}
    for name, point in points(settings).items():
        seeds = cost_seeds(settings)
        scores = [chapter.stored(name, seed, "reported") for seed in seeds]
        choices = [chapter.stored(name, seed, "choices") for seed in seeds]
        drawn = resample([Scored(*map(sweep_scores, sides)) for sides in zip(scores, choices, strict=True)])
        coarse = {image: item["maps"] for image, item in chapter.stored("coarse", name).items()}
        found[name] = Measured(
            point,
            drawn,
            bootstrap_mean(correlations(coarse, exact)),
            sum(seconds_per_item(chapter.sessions(of, seeds[0], "reported")) for of in _timed(name, point)),
            mean_updates(scores[0]) if point.maps.name == "rib" else None,
        )
    return found


def _timed(name: str, point: Point) -> Sequence[str]:
    """The points whose processes made the maps of a point: a dilation begins with the CAM."""
    return (CAM_NAME, name) if point.maps is DILATED else (name,)


def mean_updates(scores: Mapping[str, MapScores]) -> float:
    """The mean number of updates of the images with a class. A loop that ended at the peak has scored once more."""
    counts = [len(of_image.logits) - (of_image.stopped_by == "peak") for of_image in scores.values() if len(of_image.classes)]
    return float(np.mean(counts))


def num_classes(scores: Mapping[str, MapScores]) -> float:
    """The mean number of classes of the images that have one."""
    return float(np.mean([len(of_image.classes) for of_image in scores.values() if len(of_image.classes)]))


def gains(found: Mapping[str, Measured], over: str) -> dict[str, dict[str, Comparison]]:
    """The comparison by rule of every other point with the point `over`, by name."""
    return {name: compare(found[over].drawn, of.drawn) for name, of in found.items() if name != over}


def verdict_rows(found: Mapping[str, Measured]) -> dict[str, dict[str, Comparison]]:
    """The comparisons of the fast mode and RIB with the CAM, and of the fast mode with the exact one and with every control."""
    if not found:
        return {}
    pairs = [(FAST, CAM_NAME), (RIB_NAME, CAM_NAME), (FAST, RIB_NAME)]
    pairs += [(FAST, name) for name, of in found.items() if of.point.kind == "control"]
    return {f"{second} − {first}": compare(found[first].drawn, found[second].drawn) for second, first in pairs}


def frontier_table(found: Mapping[str, Measured], flop: Mapping[str, float]) -> pd.DataFrame:
    """A row for each point, numbered as in the figure, with its cost and its gain."""
    if not found:
        return pd.DataFrame({"state": [NOT_RUN]}, index=pd.Index(["all points"], name="point"))
    over_cam, over_exact = gains(found, CAM_NAME), gains(found, RIB_NAME)
    rows = {
        f"{number}. {name}": {
            "kind": of.point.kind,
            "what": of.point.about,
            "GFLOP": f"{flop[name] / 1e9:,.1f}",
            "of the CAM's": f"{flop[name] / flop[CAM_NAME]:.1f}",
            "seconds": NOT_RUN if np.isnan(of.seconds) else f"{of.seconds:.2f}",
            "mIoU − CAM (95 %)": _difference(over_cam, name),
            "mIoU − RIB (95 %)": _difference(over_exact, name),
            "correlation": of.alike.text(signed=False),
        }
        for number, (name, of) in enumerate(found.items(), start=1)
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("point")


def _difference(found: Mapping[str, Mapping[str, Comparison]], name: str) -> str:
    return found[name][FROM_VAL].difference.text() if name in found else "–"


def choices_table(chapter: Chapter) -> pd.DataFrame:
    """The mIoU on images for choices, at its best threshold, of every value that was compared there."""
    rows = []
    for name in choices_on_val(chapter.settings) if chapter.settings.costs else ():
        sweep = sweep_scores(chapter.stored("val", *name))
        rows.append({"what": name[0], "value": f"{name[1]:g}", "mIoU": f"{sweep.miou().max():.3f}"})
    return pd.DataFrame(rows or [{"what": "all choices", "value": NOT_RUN}]).set_index("what")


def goal_text(found: Mapping[str, Measured], flop: Mapping[str, float]) -> str:
    """Whether the fast mode reaches our aims, as a list in Markdown."""
    if not found:
        return f"{NOT_RUN.capitalize()}: the preset has no section `costs`."
    difference = compare(found[RIB_NAME].drawn, found[FAST].drawn)[FROM_VAL].difference
    fewer, sooner = flop[RIB_NAME] / flop[FAST], found[RIB_NAME].seconds / found[FAST].seconds
    loss = difference.low is not None and difference.value > -CLOSE and difference.low > -TOLERATED
    aims = {
        f"at least {FEWER} times fewer operations than the exact mode ({fewer:.1f})": fewer >= FEWER,
        f"at least {SOONER} times less time ({sooner:.1f})": sooner >= SOONER,
        f"a loss of less than {CLOSE} in mIoU, with an interval that does not reach {TOLERATED} ({difference.text()})": loss,
    }
    return "\n".join(f"- {aim}: {'met' if reached else 'missed'}." for aim, reached in aims.items())


def headline(found: Mapping[str, Measured], flop: Mapping[str, float]) -> dict[str, Estimate]:
    """The numbers of the record that are known, by name; {} if nothing was run."""
    if not found:
        return {}
    over_cam, over_exact = gains(found, CAM_NAME), gains(found, RIB_NAME)
    numbers = {
        "fewer_fast": Estimate(flop[RIB_NAME] / flop[FAST]),
        "sooner_fast": Estimate(found[RIB_NAME].seconds / found[FAST].seconds),
    }
    for name, of in found.items():
        short = name.lower().replace(",", "").replace("'", "").replace("-", "_").replace(" ", "_")
        numbers |= {f"alike_{short}": of.alike, f"gflop_{short}": Estimate(flop[name] / 1e9)}
        for kind, compared in (("gain", over_cam), ("less_rib", over_exact)):
            if name in compared:
                numbers[f"{kind}_{short}"] = compared[name][FROM_VAL].difference
                numbers[f"{kind}_{short}_best"] = compared[name][BEST].difference
    return {name: estimate for name, estimate in numbers.items() if not np.isnan(estimate.value)}
