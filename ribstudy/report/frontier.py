"""The gains and costs of the points of the chapter on costs, and the chapter's texts and tables about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ribstudy.config import Settings
from ribstudy.evaluation.likeness import correlations
from ribstudy.evaluation.map_scores import MapScores
from ribstudy.evaluation.protocol import FROM_VAL, Resampled, Scored, compare, resample
from ribstudy.evaluation.statistics import NOT_RUN, Comparison, Estimate, bootstrap_mean
from ribstudy.evaluation.steps import changes_by_step
from ribstudy.evaluation.sweeps import sweep_scores
from ribstudy.method.rib import num_updates
from ribstudy.report.chapter import Chapter
from ribstudy.report.differences import SUFFIXES
from ribstudy.runtime.words import capitalized
from ribstudy.stages.controls import DILATED
from ribstudy.workflow.costs import seconds_per_item
from ribstudy.workflow.frontier import FAST, Point, choices_on_val, cost_seeds, every_point, points
from ribstudy.workflow.methods import BLURRED, CAM_NAME, RIB_NAME

CLOSE, TOLERATED = 0.003, 0.01  # the aims: the largest loss of the fast mode in mIoU, and the end of its interval
FEWER, SOONER = 15, 10  # the factors in FLOP and in seconds that we aim at
CAMS = 3  # the aim for the FLOP, in plain CAMs


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
        of_rib = point.maps.name == "rib"
        coarse = {image: item["maps"] for image, item in chapter.stored("coarse", name).items()}
        found[name] = Measured(
            point,
            drawn,
            bootstrap_mean(correlations(coarse, exact)),
            sum(seconds_per_item(chapter.sessions(of, seeds[0], "reported")) for of in _timed(name, point)),
            mean_updates(scores[0], num_updates(chapter.variant(point.overrides).settings.rib)) if of_rib else None,
        )
    return found


def _timed(name: str, point: Point) -> Sequence[str]:
    """The points whose processes made the maps of a point: a dilation begins with the CAM."""
    return (CAM_NAME, name) if point.maps is DILATED else (name,)


def mean_updates(scores: Mapping[str, MapScores], most: int) -> float:
    """The mean number of updates of the images with a class, of at most `most`.

    The last map of a loop that ended by itself may have a score but no update, and so has the map after a peak.
    """
    counts = [len(of_image.logits) - (of_image.stopped_by == "peak") for of_image in scores.values() if len(of_image.classes)]
    return float(np.mean(np.minimum(counts, most)))


def num_classes(scores: Mapping[str, MapScores]) -> float:
    """The mean number of classes of the images that have one."""
    return float(np.mean([len(of_image.classes) for of_image in scores.values() if len(of_image.classes)]))


def gain_by_maps(chapter: Chapter) -> pd.DataFrame:
    """The gain of RIB over the plain CAM for the sum of its first 1, 2, ... maps; empty if the preset has no section `costs`.

    Columns: `steps`, the number of summed maps; `value`, `low` and `high`, as in `changes_by_step`; `updates`, the mean number
    before the last of these maps, for the first classifier.
    """
    if chapter.settings.costs is None:
        return pd.DataFrame()
    seeds = cost_seeds(chapter.settings)
    reported, choices = ([chapter.stored(RIB_NAME, seed, images) for seed in seeds] for images in ("reported", "choices"))
    table = changes_by_step(reported, choices)
    table = table[table["measure"] == "miou"].reset_index(drop=True)
    return table.assign(updates=[mean_updates(reported[0], steps - 1) for steps in table["steps"]])


def maps_sentence(table: pd.DataFrame, found: Mapping[str, Measured], flop: Mapping[str, float]) -> str:
    """The largest gain of a sum of RIB's first maps, the gain of all, and their operations.

    Args:
        table: `gain_by_maps`, with a column `flop`.
    """
    if table.empty:
        return f"{NOT_RUN.capitalize()}."
    last, best = len(table) - 1, int(table["value"].argmax())
    told = [
        f"{Estimate(row.value, row.low, row.high).text()}, at {row.flop / flop[CAM_NAME]:.1f} times the operations of the CAM"
        for row in table.itertuples()
    ]
    if best == last:
        text = f"The sum of all {last + 1} maps gains most over the CAM: {told[last]}."
    else:
        text = f"The sum of the first {best + 1} maps gains most over the CAM: {told[best]}. All {last + 1} gain {told[last]}."
    if BLURRED in found:
        blurred = gains(found, CAM_NAME)[BLURRED][FROM_VAL].difference
        text += f" The blurred CAM gains {blurred.text()} at the operations of the CAM."
    return text


def gains(found: Mapping[str, Measured], over: str) -> dict[str, dict[str, Comparison]]:
    """The comparison by rule of every other point with the point `over`, by name."""
    return {name: compare(found[over].drawn, of.drawn) for name, of in found.items() if name != over}


def verdict_rows(found: Mapping[str, Measured]) -> dict[str, dict[str, Comparison]]:
    """The comparisons of the fast mode and RIB with the CAM, and of the fast mode with the exact one and with every control."""
    if not found:
        return {}
    pairs = [(FAST, CAM_NAME), (RIB_NAME, CAM_NAME), (FAST, RIB_NAME)]
    pairs += [(FAST, name) for name, of in found.items() if of.point.kind == "control"]
    pairs = [pair for pair in pairs if set(pair) <= set(found)]
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


def not_run_text(settings: Settings) -> str:
    """A sentence that names the points which the preset leaves out; "" if it has all."""
    left_out = [name for name in every_point(settings) if name not in points(settings)]
    return f"{NOT_RUN.capitalize()} on these images: {'; '.join(left_out)}." if left_out else ""


def _difference(found: Mapping[str, Mapping[str, Comparison]], name: str) -> str:
    return found[name][FROM_VAL].difference.text() if name in found else "–"


def choices_table(chapter: Chapter) -> pd.DataFrame:
    """The mIoU on images for choices, at its best threshold, of every value that was compared there."""
    rows = []
    for name in choices_on_val(chapter.settings) if chapter.settings.costs else ():
        sweep = sweep_scores(chapter.stored("val", *name))
        rows.append({"what": name[0], "value": f"{name[1]:g}", "mIoU": f"{sweep.miou().max():.3f}"})
    return pd.DataFrame(rows or [{"what": "all choices", "value": NOT_RUN}]).set_index("what")


def goal_text(found: Mapping[str, Measured], flop: Mapping[str, float], at_paper: Mapping[str, float]) -> str:
    """Whether the fast mode reaches our aims, as a list in Markdown.

    The aims for operations are for the settings of the paper, and those for time and mIoU for the settings of the preset.

    Args:
        at_paper: how many times "fewer" operations the fast mode takes than RIB there, and the "cams" that take as many.
    """
    fewer, cams = at_paper["fewer"], at_paper["cams"]
    counted = [
        _aim(f"at least {FEWER} times fewer operations than RIB, at the settings of the paper", fewer >= FEWER, f"{fewer:.1f}"),
        _aim(f"at most {CAMS} times the operations of the CAM, at the settings of the paper", cams <= CAMS, f"{cams:.1f}"),
    ]
    if FAST not in found:
        return "\n".join([*counted, f"- The time and the mIoU of the fast mode: {NOT_RUN}."])
    difference = compare(found[RIB_NAME].drawn, found[FAST].drawn)[FROM_VAL].difference
    loss = difference.low is not None and difference.value > -CLOSE and difference.low > -TOLERATED
    sooner = found[RIB_NAME].seconds / found[FAST].seconds
    measured = [
        _aim(f"at least {SOONER} times less time than RIB, on this page", sooner >= SOONER, f"{sooner:.1f}"),
        _aim(
            f"a loss of less than {CLOSE} in mIoU, with an interval that does not reach {TOLERATED}",
            loss,
            f"fast − RIB: {difference.text()}",
        ),
        f"- On this page, the fast mode takes {flop[RIB_NAME] / flop[FAST]:.1f} times fewer operations than RIB, and "
        f"{flop[FAST] / flop[CAM_NAME]:.1f} times those of the CAM.",
    ]
    return "\n".join([*counted, *measured])


def _aim(aim: str, reached: bool, value: str) -> str:
    return f"- {capitalized(aim)}: {'met' if reached else 'missed'} ({value})."


def headline(found: Mapping[str, Measured], flop: Mapping[str, float]) -> dict[str, Estimate]:
    """The numbers of the record that are known, by name; {} if nothing was run."""
    if not found:
        return {}
    over_cam, over_exact = gains(found, CAM_NAME), gains(found, RIB_NAME)
    compared = found[CAM_NAME].drawn
    numbers = {"num_images": Estimate(len(compared.names)), "num_choices": Estimate(len(compared.choices))}
    if FAST in found:
        numbers["fewer_fast"] = Estimate(flop[RIB_NAME] / flop[FAST])
        numbers["sooner_fast"] = Estimate(found[RIB_NAME].seconds / found[FAST].seconds)
    for name, of in found.items():
        short = name.lower().replace(",", "").replace("'", "").replace("-", "_").replace(" ", "_")
        numbers |= {f"alike_{short}": of.alike, f"gflop_{short}": Estimate(flop[name] / 1e9)}
        for kind, over in (("gain", over_cam), ("less_rib", over_exact)):
            if name in over:
                by_rule = over[name].items()
                numbers |= {f"{kind}_{short}{SUFFIXES[rule]}": each.difference for rule, each in by_rule}
    return {name: estimate for name, estimate in numbers.items() if not np.isnan(estimate.value)}
