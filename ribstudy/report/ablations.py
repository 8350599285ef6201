"""The maps that the chapter on ablations compares."""

from collections.abc import Mapping

from ribstudy.evaluation.ablation import DEFAULT, Reread
from ribstudy.method.stored_maps import StoredMaps
from ribstudy.report.chapter import Chapter
from ribstudy.workflow.jobs import ablation_seeds
from ribstudy.workflow.variants import variants


def maps_by_variant(chapter: Chapter) -> dict[str, list[Mapping[str, StoredMaps]]]:
    """The stored maps of the ablations' images: for each variant, with `DEFAULT` first, a list with one entry per seed.

    A variant that only combines the maps differently uses the maps of the default.
    """
    seeds = ablation_seeds(chapter.settings)
    found: dict[str, list[Mapping[str, StoredMaps]]] = {DEFAULT: [chapter.stored(DEFAULT, seed) for seed in seeds]}
    for variant in variants(chapter.settings):
        if variant.read:
            found[variant.name] = [Reread(maps, variant.read) for maps in found[DEFAULT]]
        else:
            found[variant.name] = [chapter.stored(variant.name, seed) for seed in seeds]
    return found
