import pytest

from ribstudy.config import load_settings
from ribstudy.evaluation.statistics import Estimate
from ribstudy.report.paper_and_code import KINDS, ablations, measured, measured_table, read, unmeasured_table
from ribstudy.runtime.paths import PROJECT
from ribstudy.workflow.variants import every_variant

ROWS = read()


def test_every_difference_is_there_once():
    assert list(ROWS.index) == list(range(1, 46))
    assert all(set(row["kind"].split("/")) <= set(KINDS) for _, row in ROWS.iterrows())
    assert (ROWS[["paper", "code", "ours"]] != "").all(axis=None)


def test_every_row_is_measured_or_says_why_not():
    for number, row in ROWS.iterrows():
        assert bool(ablations(row)) != bool(row["reason"]), number


def test_every_setting_ablation_and_test_exists():
    settings = load_settings("voc12")
    known = {variant.name for variant in every_variant(settings)}
    for number, row in ROWS.iterrows():
        assert set(ablations(row)) <= known, number
        value = settings
        for part in filter(None, row["setting"].split(".")):
            assert part in type(value).model_fields, f"{number}: {row['setting']}"
            value = getattr(value, part)
        if row["test"]:
            file, _, name = row["test"].partition("::")
            assert f"def {name}(" in (PROJECT / file).read_text(), f"{number}: {row['test']}"


def test_an_ablation_of_a_row_varies_its_setting():
    """If several settings make the same choice, it may vary another one of them."""
    settings = {variant.name: variant.overrides for variant in every_variant(load_settings("voc12"))}
    for number, row in ROWS.iterrows():
        if ablations(row):
            varied = {name for variant in ablations(row) for name in settings[variant]}
            assert row["setting"] in varied | {"rib.loss_scales"}, number


def test_differences_come_from_the_record_of_the_chapter():
    difference = Estimate(-0.02, -0.03, -0.01, 4)
    record = {"difference_region": difference, "difference_region_unmasked": Estimate(0.1), "num_images": Estimate(4)}
    assert measured(ROWS, {}) == {}
    assert measured(ROWS, record) == {"region": difference}


def test_every_row_is_in_one_table_and_the_largest_effect_comes_first():
    small, large = Estimate(0.01, 0.0, 0.02, 4), Estimate(-0.02, -0.03, -0.01, 4)
    found = {"photographs": {"region": large, "last": small}, "drawn": {"last": small}}
    shown, others = measured_table(ROWS, found), unmeasured_table(ROWS, found)
    assert shown.index.tolist() == ["2 P", "7 P/W"]
    numbers = [int(label.split()[0]) for label in (*shown.index, *others.index)]
    assert sorted(numbers) == ROWS.index.tolist()
    assert shown.loc["2 P", ["photographs", "drawn"]].tolist() == [
        "region: -0.020<br><small>(-0.030\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}-0.010)</small>",
        "region: not run",
    ]
    assert shown.loc["2 P", "difference"].startswith("<b>Paper:</b> the mean over the region<br><b>Code:</b> the sum")
    assert others.loc["1 B", "not measured because"] == "not run"
    assert others.loc["40 W", "not measured because"] == (
        "the same walk in a ten-thousandth of the work (test: equals the dense form)"
    )


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read(tmp_path / "nowhere.csv")
