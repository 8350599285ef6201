import json
from dataclasses import replace

import pytest
from bs4 import BeautifulSoup
from helpers.adaptation import LABELS, QUIET, inputs
from helpers.networks import negative_net, tiny_net

from ribstudy.cli.options import settings_of_run
from ribstudy.config import load_settings, preset_names
from ribstudy.method.rib import adapt, stored_adaptation
from ribstudy.method.settings import RibSettings
from ribstudy.report.deviations import deviations_table
from ribstudy.workflow.variants import FIXED, GROUPS, every_variant, in_words, variants

VOC = load_settings("voc12")
# Settings under which a choice has an effect: a stopping rule applies, a margin is reached, a map is negative everywhere.
NEAR = {
    "no_spread": {"spread_ratio": 0.05},
    "spread_all": {"spread_ratio": 0.05},
    "spread": {"spread_ratio": 1.0},
    "clamp": {"margin": 0.3},
    "first_20": {"gndrp_classes": 2},
    "scales": {"scales": (1.0, 0.5), "loss_scales": (1.0,)},
}
# Values for three classes, for small logits, and a learning rate that changes a small network.
SMALL = {"margin": 0.1, "spread": 0.05, "first_20": 1, "slow": 0.01, "fast": 0.1, "iterations": 6}


@pytest.mark.parametrize("variant", every_variant(VOC), ids=lambda variant: variant.name)
def test_every_variant_changes_the_seed(variant):
    section, field = variant.setting.split(".")
    start = {**QUIET, "iterations": 4, "spread_threshold": 0.6, **NEAR.get(variant.name, {})}
    besides = {name.removeprefix("rib."): value for name, value in variant.besides.items()}
    other = {} if section == "auxiliary" else {**besides, field: SMALL.get(variant.name, variant.value)}
    if variant.name == "clamp":
        other["margin"] = 0.3
    num_aux = {"alone": 0, "one_other": 1, "more_others": 4}.get(variant.name, 2)
    net = negative_net() if variant.name == "empty" else tiny_net()
    before, after = (_seed(net, RibSettings(**{**start, **more}), n) for more, n in (({}, 2), (other, num_aux)))
    assert abs(before - after).max() > (0 if variant.name == "no_momentum" else 1e-5)


def _seed(net, settings, num_aux):
    views, aux = inputs(settings, num_aux=num_aux)
    result = adapt(net, views, LABELS, aux, settings)
    stored = stored_adaptation(result, LABELS.numpy() > 0, (24, 20))
    return replace(stored, aggregation=settings.aggregation, normalization=settings.normalization).normalized()


@pytest.mark.parametrize("preset", [*preset_names(), "tests/smallest.yml"])
def test_variants_of_a_preset_are_valid_and_each_differs_from_it(preset):
    settings = load_settings(preset)
    chosen = variants(settings)
    assert len(chosen) > 25 or len(chosen) == len(settings.ablations.variants)
    assert len({variant.name for variant in chosen}) == len(chosen)
    assert [variant.group for variant in chosen] == sorted((v.group for v in chosen), key=list(GROUPS).index)
    for variant in chosen:
        changed = load_settings(preset, variant.overrides)
        assert (changed.rib, changed.auxiliary) != (settings.rib, settings.auxiliary), variant.name


def test_what_cannot_differ_is_left_out():
    names = {variant.name for variant in variants(load_settings("mini"))}
    assert not names & {"spread_all", "first_20"}  # one scale, twenty classes
    assert "first_20" in {variant.name for variant in variants(load_settings("coco14"))}
    assert "tau_high" not in {variant.name for variant in variants(load_settings("study", {"rib.tau": 0.6}))}


def test_the_codes_values_are_the_defaults_and_the_papers_are_its_mode():
    code, paper = RibSettings(), RibSettings(mode="paper")
    for variant in every_variant(VOC):
        section, field = variant.setting.split(".")
        if section == "rib" and field != "gndrp_classes":  # VOC has 20 classes, as many as the code's limit
            assert getattr(code, field) == variant.code, variant.name
            assert variant.paper is None or getattr(paper, field) == variant.paper, variant.name


def test_every_choice_of_the_papers_mode_is_a_variant():
    settings = {variant.setting for variant in FIXED + every_variant(VOC)}
    code, paper = RibSettings().model_dump(), RibSettings(mode="paper").model_dump()
    assert {f"rib.{name}" for name, value in code.items() if value != paper[name]} <= settings


def test_the_table_of_deviations_has_what_the_paper_does_not_write():
    table = BeautifulSoup(deviations_table(load_settings("study")).data, "html.parser")
    columns = [cell.get_text() for cell in table.thead("th")]
    rows = [[cell.get_text() for cell in row(["th", "td"])] for row in table.tbody("tr")]
    shown = {row[0]: dict(zip(columns, row, strict=True)) for row in rows}
    assert set(shown) >= {"region", "clamp", "last", "no_spread", "spread_all", "momentum", "empty", "first_20"}
    assert "gap" not in shown
    assert shown["momentum"]["paper"] == "–"


def test_values_in_words():
    assert [in_words(value) for value in (8e-6, (1.0, 0.5), None, "last_stage", True)] == [
        "8e-06",
        "1, 0.5",
        "–",
        "last stage",
        "True",
    ]


def test_labels_show_the_changed_settings():
    (control,) = [variant for variant in FIXED if variant.name == "bce_gap"]
    assert control.label == "objective bce\npooling gap"


def test_the_command_line_reads_the_settings_of_every_variant():
    """YAML reads JSON's 3e-05 as text."""
    for variant in variants(load_settings("study")):
        read = settings_of_run(json.dumps(variant.overrides))
        assert load_settings("study", read) == load_settings("study", variant.overrides), variant.name
