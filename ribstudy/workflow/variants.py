"""The variants of the ablations. Each changes one choice of the method and names the choices of the reference code and paper.

A preset has only the variants that make a difference under its settings. For example, a stopping rule that treats scales
differently makes no difference if there is only one scale.
"""

from dataclasses import dataclass, field
from typing import Any

from ribstudy.config import Settings

MAX_GNDRP = 20  # number of classes that the reference code pools by GNDRP


@dataclass(frozen=True)
class Variant:
    """A different value for one choice of the method.

    The variant also changes the settings in `besides`, because the choice would make no difference without them.

    Args:
        name: name of the variant in records and files.
        group: name of the group (`GROUPS`) and of the figure that shows it.
        setting: the dotted name of the setting that makes the choice.
        value: the value of the setting in this variant.
        code: the value in the reference code for VOC.
        paper: the value in the paper; None if the paper does not mention it.
        change: the change that the variant makes, in short.
    """

    name: str
    group: str
    setting: str
    value: Any
    code: Any
    paper: Any
    change: str
    besides: dict[str, Any] = field(default_factory=dict)

    @property
    def overrides(self) -> dict[str, Any]:
        return {self.setting: self.value, **self.besides}

    @property
    def label(self) -> str:
        """The changed settings and their values, in short."""
        return "\n".join(f"{name.split('.')[1].replace('_', ' ')} {in_words(value)}" for name, value in self.overrides.items())

    @property
    def deviates(self) -> bool:
        """Whether the reference code and the paper differ, or the paper does not mention the choice."""
        return self.code != self.paper


def in_words(value: Any) -> str:
    """A value as a table shows it; a dash for None."""
    if isinstance(value, tuple):
        return ", ".join(map(in_words, value))
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")


ITERATIONS = "iterations"  # the variant whose steps are the curve over K

# Variants that do not depend on a preset. The values of `code` and `paper` are for VOC.
FIXED = (
    Variant("tau_low", "region", "rib.tau", 0.2, 0.4, 0.4, "a smaller region is pooled"),
    Variant("tau_high", "region", "rib.tau", 0.6, 0.4, 0.4, "a larger region is pooled"),
    Variant("gap", "region", "rib.pooling", "gap", "gndrp", "gndrp", "all positions are pooled, without GNDRP"),
    Variant("region", "region", "rib.denominator", "region", "map", "region", "divided by the region's size, as in the paper"),
    Variant("empty", "region", "rib.empty_region", "pool", "skip", None, "a map negative everywhere is pooled, not left out"),
    Variant("first_20", "region", "rib.gndrp_classes", MAX_GNDRP, MAX_GNDRP, None, "GNDRP only for 20 classes, as in the code"),
    Variant("bce", "objective", "rib.objective", "bce", "rib", "rib", "the loss of the training, which keeps the sigmoid"),
    Variant("bce_gap", "objective", "rib.objective", "bce", "rib", "rib", "pooled as in the training", {"rib.pooling": "gap"}),
    Variant("no_momentum", "step", "rib.momentum", 0.0, 1e-4, None, "the code has only 0.0001, so this should change nothing"),
    Variant("momentum", "step", "rib.momentum", 0.9, 1e-4, None, "with which the same steps reach farther"),
    Variant("no_spread", "stop", "rib.spread_ratio", 1.0, 0.7, None, "a map that covers much does not end the loop"),
    Variant("spread_all", "stop", "rib.spread_scales", "all", "first", None, "the last step still adds the maps of all scales"),
    Variant("last", "sum", "rib.include_last", True, False, True, "the map after the last step is added too, as in the paper"),
    Variant("last_only", "sum", "rib.aggregation", "last", "raw", "raw", "only the map of the last step, without the sum"),
    Variant("normalized", "sum", "rib.aggregation", "normalized", "raw", "raw", "every step has the same weight in the sum"),
    Variant("range", "sum", "rib.normalization", "range", "maximum", "maximum", "scaled from minimum to maximum"),
    Variant("percentile", "sum", "rib.normalization", "percentile", "maximum", "maximum", "scaled by the 99th percentile"),
    Variant("alone", "other images", "auxiliary.batch_size", 0, 20, 20, "no auxiliary images"),
    Variant("one_other", "other images", "auxiliary.batch_size", 1, 20, 20, "a single auxiliary image in each step"),
    Variant("last_stage", "network", "rib.trained", "last_stage", "all", None, "only the last stage and the classifier adapt"),
    Variant("classifier", "network", "rib.trained", "classifier", "all", None, "only the classifier adapts"),
    Variant("affine", "network", "rib.batch_norm", "frozen", "running", None, "the affine weights of batch norm do not adapt"),
    Variant("batch", "network", "rib.batch_norm", "batch", "running", None, "statistics of each view, also for the first map"),
)


def of_preset(settings: Settings) -> tuple[Variant, ...]:
    """The variants that depend on a preset: learning rates around its own, stopping rules that apply on its data, scales, K."""
    rib, chosen = settings.rib, settings.ablations
    slow, fast = (float(f"{factor * rib.learning_rate:.2g}") for factor in (0.3, 3))
    others = 2 * settings.auxiliary.batch_size
    rows = 2 * len(rib.loss_scales)  # views of the image; the reference code compares the sum of their logits with the margin
    cap = {"rib.margin": chosen.margin / rows}
    scales = (1.0,) if len(chosen.scales or rib.scales) > 1 else (1.0, 0.5)
    in_loss = {} if rib.loss_scales == (1.0,) else {"rib.loss_scales": (1.0,)}
    return (
        Variant(ITERATIONS, "steps", "rib.iterations", chosen.iterations, 10, 10, "the learning rate falls over all of them"),
        Variant("slow", "step", "rib.learning_rate", slow, 8e-6, 8e-6, "about a third of the learning rate"),
        Variant("fast", "step", "rib.learning_rate", fast, 8e-6, 8e-6, "three times the learning rate"),
        Variant("margin", "stop", "rib.margin", chosen.margin, 600.0, 600.0, "large logits end the loop, also far below zero"),
        Variant("clamp", "stop", "rib.margin_mode", "clamp", "stop", "clamp", "caps each logit, as in the paper", cap),
        Variant("spread", "stop", "rib.spread_ratio", chosen.spread_ratio, 0.7, None, "maps that cover so much end the loop"),
        Variant("more_others", "other images", "auxiliary.batch_size", others, 20, 20, "twice as many auxiliary images"),
        Variant("scales", "views", "rib.scales", scales, (1.0, 0.5, 1.5, 2.0), None, "other scales are summed", in_loss),
    )


GROUPS = {
    "objective": "What is maximised",
    "region": "Which positions are pooled",
    "stop": "When the loop ends early",
    "sum": "How the steps become one map",
    "step": "How far a step goes",
    "steps": "How many steps",
    "other images": "What other images do",
    "network": "Which part of the network adapts",
    "views": "At which scales",
}


def base(settings: Settings) -> dict[str, Any]:
    """The settings in which the default and every variant of the ablations differ from the preset: their scales."""
    scales, in_loss = settings.ablations.scales, settings.rib.loss_scales
    if scales is None:
        return {}
    return {"rib.scales": scales, "rib.loss_scales": tuple(scale for scale in in_loss if scale in scales) or (1.0,)}


def variants(settings: Settings) -> tuple[Variant, ...]:
    """The variants that are computed, in the order of `GROUPS`: those that make a difference, or of them the preset's choice.

    Raises ValueError if `ablations.variants` names one that does not exist or makes no difference under these settings.
    """
    able = tuple(variant for variant in every_variant(settings) if _can_differ(variant, settings))
    chosen = settings.ablations.variants
    if chosen is None:
        return able
    names = [variant.name for variant in able]
    if unknown := [name for name in chosen if name not in names]:
        raise ValueError(f"ablations.variants: {unknown[0]!r} is not a variant here; known: {', '.join(names)}")
    return tuple(variant for variant in able if variant.name in chosen)


def every_variant(settings: Settings) -> tuple[Variant, ...]:
    """All variants, including those that make no difference under these settings, in the order of `GROUPS`."""
    known = (*FIXED, *of_preset(settings))
    return tuple(variant for group in GROUPS for variant in known if variant.group == group)


def default(variant: Variant, settings: Settings) -> Any:
    """The value that a variant's setting has in the preset."""
    section, name = variant.setting.split(".")
    return getattr(getattr(settings, section), name)


def _can_differ(variant: Variant, settings: Settings) -> bool:
    if variant.name == "spread_all" and len(settings.ablations.scales or settings.rib.scales) == 1:
        return False
    if variant.name == "first_20" and settings.data.name in ("minivoc", "voc12"):  # none has more than 20 classes
        return False
    return base(settings).get(variant.setting, default(variant, settings)) != variant.value
