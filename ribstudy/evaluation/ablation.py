"""What each variant of the method changes: maps of the same images, compared with those of the preset's own choices."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ribstudy.datasets import Dataset
from ribstudy.evaluation.metrics import Comparison, Estimate, bootstrap_over_seeds
from ribstudy.evaluation.scores import Unit, Units, compare_over_seeds, endings, num_steps, sweep_units
from ribstudy.workflow import jobs as study
from ribstudy.workflow.variants import Variant, default, in_words, variants

if TYPE_CHECKING:
    from ribstudy.report.chapter import Chapter

DEFAULT = "default"


@dataclass(frozen=True)
class Reread(Mapping[str, Unit]):
    """Stored images whose maps are put together otherwise: `fields` of a unit, such as its `aggregation`, are replaced."""

    units: Units
    fields: Mapping[str, str]

    def __getitem__(self, name: str) -> Unit:
        unit = self.units[name]
        return {**unit, **{field: np.array(value) for field, value in self.fields.items()}}

    def __iter__(self) -> Iterator[str]:
        return iter(self.units)

    def __len__(self) -> int:
        return len(self.units)


def units_by_variant(chapter: "Chapter") -> dict[str, list[Units]]:
    """By variant, and first under `DEFAULT`, what the stage `rib` stored of the images of the ablations, a list by seed."""
    chosen = study.images(chapter.settings.ablations.images)
    seeds = [{**chosen, "seed": seed} for seed in study.ablation_seeds(chapter.settings)]
    found = {DEFAULT: [chapter.maps("rib", chapter.variant(of_seed)) for of_seed in seeds]}
    for variant in variants(chapter.settings):
        if variant.read:
            found[variant.name] = [Reread(units, variant.read) for units in found[DEFAULT]]
        else:
            found[variant.name] = [chapter.maps("rib", chapter.variant({**of_seed, **variant.overrides})) for of_seed in seeds]
    return found


def differences(dataset: Dataset, units: Mapping[str, Sequence[Units]], *, processes: int = 1) -> dict[str, Comparison]:
    """By variant, its mIoU less that of the default.

    Every side of every seed has the threshold that is best for it on these images, chosen anew in every sample of the interval
    (the field's protocol): thresholds from other images would need as many adaptations again.
    """
    sweeps = {name: [sweep_units(dataset, of_seed, processes=processes) for of_seed in seeds] for name, seeds in units.items()}
    return {name: compare_over_seeds(sweeps[DEFAULT], changed) for name, changed in sweeps.items() if name != DEFAULT}


def curve(dataset: Dataset, units: Sequence[Units]) -> pd.DataFrame:
    """mIoU of the maps summed over the first 1, 2, ... steps less that of the plain CAM, the first of them.

    units: by seed. Columns: `steps`, `value`, `low`, `high`; means over the seeds, each at its best threshold.
    """
    most = max(num_steps(unit) for of_seed in units for unit in of_seed.values())
    by_steps = [[sweep_units(dataset, of_seed, steps=steps) for of_seed in units] for steps in range(1, most + 1)]
    found = [compare_over_seeds(by_steps[0], sweeps).difference for sweeps in by_steps]
    rows = [{"steps": steps, "value": e.value, "low": e.low, "high": e.high} for steps, e in enumerate(found, start=1)]
    return pd.DataFrame(rows)


def stopped(units: Sequence[Units], ending: str) -> Estimate:
    """Share of the adaptations, of all seeds, that `ending` ("spread", "margin") ended; without an interval."""
    by = pd.concat([endings(of_seed)["stopped_by"] for of_seed in units])
    return Estimate(float((by == ending).mean()), n=len(by))


def gain_of_default(found: Mapping[str, Comparison]) -> Estimate:
    """What the default adds to the plain CAM: the variant "cam" turned round; 0 where the default is the plain CAM."""
    if "cam" not in found:
        return Estimate(0.0, 0.0, 0.0)
    less = found["cam"].difference
    return Estimate(-less.value, -less.high, -less.low, less.n)


def false_alarms(num_images: int, *, num_trials: int = 300, seed: int = 0) -> float:
    """Share of the intervals that leave zero out though there is no effect, by simulation; 0.05 with many images.

    By how much an object is found differs between default and variant by a normal number of mean 0, for each image another and
    the same with every seed: where seeds differ as well, the intervals are wider and the share is smaller.
    """
    rng = np.random.default_rng(seed)
    alarms = 0
    for _ in range(num_trials):
        default, variant = np.full(num_images, 0.7), 0.7 + 0.03 * rng.normal(size=num_images)
        difference = bootstrap_over_seeds([_object_counts(default)], [_object_counts(variant)], num_samples=400).difference
        alarms += difference.leaves_zero_out
    return alarms / num_trials


def _object_counts(shares: np.ndarray) -> np.ndarray:
    """Counts [G, 3, 1] of one class: regions as large as the objects, of which they hold these shares [G]."""
    size = np.full(len(shares), 10_000)  # pixels
    return np.stack([(shares * size).round().astype(np.int64), size, size], axis=1)[..., None]


def summary_table(chosen: Sequence[Variant], found: Mapping[str, Comparison], chapter: "Chapter") -> pd.DataFrame:
    """A row for each variant: its difference or "not run", its setting, and what preset, reference code and paper have."""
    rows = {
        variant.name: {
            "difference (95 %)": found[variant.name].difference.in_words() if variant.name in found else "not run",
            "setting": variant.setting,
            "here": in_words(variant.value),
            "preset": in_words(default(variant, chapter.settings)),
            "code": in_words(variant.code),
            "paper": in_words(variant.paper),
        }
        for variant in chosen
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("variant")


def telling(found: Mapping[str, Comparison]) -> tuple[list[str], list[str]]:
    """Names of the variants whose interval lies above zero, and of those whose interval lies below."""
    better = [name for name, comparison in found.items() if comparison.difference.low > 0]
    worse = [name for name, comparison in found.items() if comparison.difference.high < 0]
    return better, worse
