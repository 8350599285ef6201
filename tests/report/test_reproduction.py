"""The headline numbers of a study that was computed again, compared with the published ones."""

import pytest

from ribstudy.evaluation.statistics import Estimate
from ribstudy.report.reproduction import Reproduced, comparison_rows, kind_of, reproduced, summary

PUBLISHED = Estimate(0.5, 0.4, 0.6, 40)


@pytest.mark.parametrize(
    ("chapter", "name", "kind"),
    [
        ("02_data", "classes_per_image", "exact"),
        ("04_rib", "num_images", "exact"),
        ("04_rib", "learning_rate", "exact"),
        ("04_rib", "gain_rib", "training"),
        ("04_rib", "best_learning_rate", "training"),
        ("07_ablations", "num_better", "training"),
        ("08_other_methods", "torchcam_difference", "rounding"),
        ("08_other_methods", "early_difference", "training"),
        ("08_other_methods", "seconds_rib", "machine"),
        ("costs", "gain_fast", "training"),
        ("costs", "tflop_study_rib", "machine"),
    ],
)
def test_how_equal_a_number_has_to_be(chapter, name, kind):
    assert kind_of(chapter, name) == kind


@pytest.mark.parametrize(
    ("chapter", "name", "here", "published", "verdict", "as_expected"),
    [
        ("04_rib", "miou_rib", 0.5, PUBLISHED, "equal", True),
        ("04_rib", "miou_rib", 0.50005, PUBLISHED, "within 0.0001", True),
        ("04_rib", "miou_rib", 0.6, PUBLISHED, "inside", True),
        ("04_rib", "miou_rib", 0.39, PUBLISHED, "outside", True),
        ("04_rib", "miou_rib_seed0", 0.3, Estimate(0.5), "no interval", True),
        ("04_rib", "miou_rib", 0.5, None, "not published", True),
        ("04_rib", "miou_rib", float("nan"), Estimate(float("nan")), "equal", True),
        ("04_rib", "num_images", 39, Estimate(40), "different", False),
        ("02_data", "void_share", 0.04, Estimate(0.05, 0.03, 0.07), "different", False),
        ("02_data", "void_share", 0.05001, Estimate(0.05, 0.03, 0.07), "within 0.0001", False),
        ("08_other_methods", "torchcam_difference", 3e-6, Estimate(1e-6), "within 0.0001", True),
        ("08_other_methods", "torchcam_difference", 3e-3, Estimate(1e-6), "different", False),
        ("08_other_methods", "seconds_rib", 9.0, Estimate(3.0), "not compared", True),
    ],
)
def test_the_verdict_on_a_number(chapter, name, here, published, verdict, as_expected):
    number = Reproduced(chapter, name, Estimate(here), published)
    assert (number.verdict, number.as_expected) == (verdict, as_expected)


def test_the_table_has_every_number_computed_here():
    here = {"02_data": {"num_train": Estimate(40.0)}, "04_rib": {"miou_rib": Estimate(0.45), "new": Estimate(1.0)}}
    found = reproduced(
        here, {"04_rib": {"miou_rib": PUBLISHED, "removed": Estimate(2.0)}, "02_data": {"num_train": Estimate(40.0)}}
    )
    assert comparison_rows(found)[1:] == [
        ("02_data", "num_train", "40.0000", "40.0000 (no interval)", "+0", "equal", "equal"),
        ("04_rib", "miou_rib", "0.4500", "0.5000 (0.4000 to 0.6000)", "-0.05", "inside", "inside"),
        ("04_rib", "new", "1.0000", "–", "–", "inside", "not published"),
    ]
    assert summary(found).splitlines()[:2] == ["expected equal: 1 equal", "expected inside: 1 inside, 1 not published"]
