import re
from pathlib import Path

import pytest
import yaml

from ribstudy.config import Settings, load_settings, preset_names
from ribstudy.method.settings import RibSettings
from ribstudy.presets import __file__ as presets_file
from ribstudy.runtime.files import digest
from ribstudy.settings import setting_rows

PRESETS = Path(presets_file).parent


def test_presets_load_and_are_frozen():
    assert {"mini", "study", "voc12"} <= set(preset_names())
    for name in preset_names():
        settings = load_settings(name)
        with pytest.raises(ValueError, match="frozen"):
            settings.seed = 3


def test_overrides_are_put_in():
    settings = load_settings("study", {"rib.tau": 0.5, "rib.scales": [1.0, 0.5], "seed": 3})
    assert (settings.rib.tau, settings.rib.scales, settings.seed) == (0.5, (1.0, 0.5), 3)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"rib.taau": 0.5}, "rib.taau is unknown, did you mean tau"),
        ({"rip.tau": 0.5}, "rip is unknown"),
        ({"rib.tau": "0.5"}, "rib.tau = '0.5'"),
        ({"rib.tau": True}, "rib.tau = True"),
        ({"rib.tau": -1.0}, "rib.tau = -1.0: .*greater than 0"),
        ({"rib.iterations": 2.5}, "rib.iterations = 2.5"),
        ({"rib.spread_ratio": 1.2}, "rib.spread_ratio = 1.2"),
        ({"rib.loss_scales": [3.0]}, "loss_scales .3.0. are not among scales"),
        ({"rib.scales": [0.5, 1.0], "rib.loss_scales": [1.0]}, "first of scales must be 1"),
        ({"rib.mode": "papper"}, "mode 'papper' is unknown"),
        ({"rib.mode": ["code"]}, "mode .*code.* is unknown"),
        ({"rib.learning_rate": float("inf")}, "learning_rate = inf"),
        ({"seed": -1}, "seed = -1"),
        ({"auxiliary.long_side": [352, 224]}, "first of .352, 224. must not be above"),
        ({"rib.scales": [1.0, 1.0], "rib.loss_scales": [1.0]}, "name a scale twice"),
        ({"rib.tau.x": 1}, "tau"),
        ({"data.minivoc": None}, "data.minivoc is missing"),
        ({"data.minivoc.num_train_aug": 1}, "must be at least num_train"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(overrides, message):
    with pytest.raises(ValueError, match=message):
        load_settings("study", overrides)


def test_a_share_is_at_most_1():
    named = re.compile(r"\b(share|probability|confidence|tau|threshold|ratio)\b|_(share|ratio|threshold|prob)\b")
    rows = [(name, values) for name, values, about in setting_rows(Settings) if named.search(f"{name} {about}")]
    shares = {name: values for name, values in rows if values.startswith("number")}
    assert {"rib.tau", "toy.marker_rate", "masks.threshold"} <= set(shares)
    assert {name: values for name, values in shares.items() if not re.search(r"<=? 1(\.0)?\b", values)} == {}


def test_an_editor_completes_the_names_of_settings_only():
    assert dir(load_settings("mini").rib) == sorted(RibSettings.model_fields)


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(ValueError, match="'minni' is unknown; known: coco14, coco14-lite, custom, mini, study, tiny, voc12"):
        load_settings("minni")


@pytest.mark.parametrize(
    ("preset", "message"),
    [
        ("min", "unknown; known: .*did you mean mini"),
        ("", "'': the path is empty; known"),
        ("C:\\own.yml", "path of Windows"),
        ("none.yml", "there is no file .*/none.yml"),
    ],
)
def test_a_bad_name_of_a_preset_is_explained(preset, message):
    with pytest.raises(ValueError, match=f"^preset .*{message}"):
        load_settings(preset)


def test_mode_is_a_set_of_defaults_and_not_a_setting_of_its_own():
    by_mode = RibSettings(mode="paper")
    by_value = RibSettings(denominator="region", margin_mode="clamp", spread_ratio=1.0, include_last=True)
    assert by_mode == by_value
    assert load_settings("study", {"rib.mode": "paper"}).rib.denominator == "region"


def test_the_mode_of_a_run_outlives_what_a_preset_says_of_the_choices(tmp_path):
    text = (PRESETS / "mini.yml").read_text().replace("rib:\n", "rib:\n  spread_ratio: 0.8\n  denominator: map\n")
    preset = tmp_path / "own.yml"
    preset.write_text(text)
    assert load_settings(str(preset)).rib.spread_ratio == 0.8
    paper = load_settings(str(preset), {"rib.mode": "paper"}).rib
    assert (paper.spread_ratio, paper.denominator) == (1.0, "region")


def test_the_fast_mode_replaces_what_a_preset_says_of_its_choices():
    fast = load_settings("voc12", {"rib.mode": "fast"}).rib
    assert (fast.path, fast.auxiliary, fast.loss_scales, fast.iterations) == ("one_step", False, (1.0,), 10)
    lite = load_settings("voc12-lite", {"rib.mode": "fast", "rib.learning_rate": 1e-4}).rib
    assert lite == RibSettings(mode="fast", learning_rate=1e-4, scales=(1.0, 1.5))
    with pytest.raises(ValueError, match="path one_step: one iteration has no step before its map"):
        load_settings("study", {"rib.mode": "fast", "rib.iterations": 1})


def test_settings_that_were_added_later_are_dumped_only_if_they_are_used():
    """Otherwise the keys of all earlier results would change."""
    assert not {"path", "auxiliary", "direction", "anchor", "stop_at_peak"} & set(RibSettings().model_dump(mode="json"))
    fast = RibSettings(mode="fast", anchor=0.5).model_dump(mode="json")
    assert (fast["path"], fast["auxiliary"], fast["anchor"]) == ("one_step", False, 0.5)


def test_overrides_are_not_written_to():
    minivoc = load_settings("study").data.minivoc.model_dump()
    load_settings("study", {"data.minivoc": minivoc, "data.minivoc.num_val": 9})
    assert minivoc["num_val"] != 9


def test_defaults_of_the_method_are_those_of_the_reference_code():
    settings = load_settings("voc12")
    assert settings.rib == RibSettings()


@pytest.mark.parametrize("name", preset_names())
def test_every_number_of_a_preset_has_its_source(name):
    lines = (PRESETS / f"{name}.yml").read_text().splitlines()
    values = [line for line in lines if re.search(r":\s+[\[\d-]", line.split("#")[0])]
    assert len(values) >= (1 if any(line.startswith("base:") for line in lines) else 20)
    for line in values:
        assert re.search(r"#\s*(paper|code|ours)", line), line


def test_digest_depends_on_values_and_not_on_their_order():
    assert digest({"a": 1, "b": [2.5]}) == digest({"b": [2.5], "a": 1}) == "".join(digest({"a": 1, "b": [2.5]}))
    assert digest({"a": 1}) != digest({"a": 2})
    assert re.fullmatch(r"[0-9a-f]{12}", digest(yaml.safe_load("x: 1")))


def test_the_mode_comes_before_single_choices_whatever_the_order():
    single, mode = {"rib.denominator": "map"}, {"rib.mode": "paper"}
    for overrides in ({**single, **mode}, {**mode, **single}):
        rib = load_settings("voc12", overrides).rib
        assert (rib.denominator, rib.margin_mode) == ("map", "clamp")


def test_the_mode_that_a_preset_is_in_leaves_it_as_it_is():
    assert load_settings("coco14", {"rib.mode": "code"}) == load_settings("coco14")
    assert load_settings("coco14", {"rib.mode": "paper"}).rib.spread_ratio == 1.0
