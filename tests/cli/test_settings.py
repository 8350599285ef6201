"""The search of settings, and the stages that a setting reaches."""

from operator import attrgetter

import pytest
from helpers.tiny_study import settings_of

from ribstudy.cli.main import main
from ribstudy.config import Settings, preset_names, sources
from ribstudy.settings import setting_rows
from ribstudy.stages import STAGES
from ribstudy.workflow.reach import read_otherwise, recomputed


def printed(capsys, *arguments) -> str:
    assert main(["settings", *arguments]) == 0
    return capsys.readouterr().out


def test_a_setting_is_found_with_its_value_source_range_and_stages(capsys):
    text = printed(capsys, "tau", "--preset", "voc12", "--set", "advcam.tau=0.25")
    of_rib, of_advcam = text.split("\n\n")
    assert of_rib.splitlines()[:4] == [
        "rib.tau = 0.4",
        "  positions whose map is below tau times its maximum are pooled (paper: 0.4)",
        "  values: number > 0 and <= 1",
        "  source: paper, code (preset voc12)",
    ]
    assert "computed anew if it changes: rib, " in of_rib
    assert "cam" not in of_rib.split("anew if it changes: ")[1].replace("advcam", "").split()
    assert of_advcam.startswith("advcam.tau = 0.25\n")
    assert "source: given here" in of_advcam


def test_words_of_descriptions_count_and_unknown_words_are_refused(capsys):
    assert "rib.spread_threshold = " in printed(capsys, "COVERED", "--preset", "mini")
    assert main(["settings", "nonsense"]) == 1
    assert "no setting has 'nonsense'" in capsys.readouterr().err


def test_every_setting_of_every_preset_can_be_shown(capsys):
    for preset in preset_names():
        names = {
            line.split(" = ")[0].split(":")[0]
            for line in printed(capsys, "", "--preset", preset).splitlines()
            if line[:1].strip()
        }
        assert names == {name for name, _, _ in setting_rows(Settings)}


def test_a_preset_that_starts_from_another_one_names_the_source_of_each_value(tmp_path):
    own = tmp_path / "own.yml"
    own.write_text("base: mini\nrib:\n  tau: 0.6  # ours: a trial\n  iterations: 3\n")
    found = sources(str(own))
    assert found["rib.tau"] == f"ours: a trial (preset {own})"
    assert found["rib.iterations"] == f"preset {own}"
    assert found["rib.learning_rate"] == "ours: as in study (preset mini)"


OTHERS = {
    "rib.tau": 0.6,
    "rib.blur": 1.0,
    "cam.blur": 1.0,
    "toy.hgr_threshold": 0.2,
    "toy.seeds": 7,
    "toy.probe.hidden": 3,
    "classifier.epochs": 3,
    "seed": 5,
    "masks.threshold": 0.3,
    "labels.foreground": 0.4,
    "maps": "cam",
    "predictions.crf": False,
    "evaluation.every_step": False,
    "compared.limit": 3,
    "choices.limit": 2,
}


@pytest.mark.parametrize(("name", "value"), OTHERS.items())
def test_the_stages_whose_keys_a_setting_changes_are_those_that_it_is_said_to_reach(name, value, data_root):
    """Compared with the keys themselves, which are digests of all settings that affect a result."""
    before, after = (settings_of(data_root, **changes) for changes in ({}, {name: value}))
    assert attrgetter(name)(before) != attrgetter(name)(after)
    changed = [stage.name for stage in STAGES.values() if stage.key(before) != stage.key(after)]
    assert recomputed(name, before) == changed
    assert not set(read_otherwise(name, before)) & set(changed)


def test_thresholds_of_reading_are_named(data_root):
    settings = settings_of(data_root)
    assert read_otherwise("toy.hgr_threshold", settings) == ["toy", "toy-conditions"]
    assert read_otherwise("rib.normalization", settings) == ["rib", "bottleneck"]
