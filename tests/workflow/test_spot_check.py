import dataclasses
import json
import math

import numpy as np
import pytest

from ribstudy.items import ARRAYS, MASKS
from ribstudy.published import write_bundle
from ribstudy.runtime.files import file_digest
from ribstudy.workflow.spot_check import (
    Check,
    Difference,
    SpotCheckError,
    compare,
    require_ok,
    spot_check,
    tolerance_of,
    write_checks,
)

NAN = float("nan")


def check(study, **options):
    return spot_check(study.preset, {}, study.store, **options)


def falsify(study, stage: str, change) -> None:
    """Replaces the file of a stage's result by one whose items are changed, with the right SHA-256."""
    manifest = study.store.published_folder / "manifest.json"
    entries = json.loads(manifest.read_text())
    (name,) = (name for name in entries if name.rsplit("-", 1)[0] == stage)
    bundle = study.store.published.bundle(name)
    items = {item: change(dict(arrays)) for item, arrays in bundle.items.items()}
    write_bundle(bundle.path, items, {file: bundle.open(file).read() for file in bundle.files})
    entries[name]["sha256"] = file_digest(bundle.path)
    manifest.write_text(json.dumps(entries))


def test_honest_results_are_equal_to_the_bit(study):
    study.forget_results()
    before = study.published_bytes()
    checks = check(study, seed=0)
    assert {one.stage for one in checks} == {"rib", "evaluate-cam", "evaluate-rib", "evaluate-masks"}
    assert all(one.difference == Difference(0) for one in checks)
    require_ok(checks)
    assert study.published_bytes() == before
    assert not (study.store.root / "runs").exists()


def test_results_that_are_computed_here_are_not_looked_at(study):
    for path in study.store.root.glob("runs/*/items/*"):
        path.write_bytes(b"nothing")
    require_ok(check(study, seed=0))


def test_draws_depend_on_the_seed_only(study, monkeypatch):
    monkeypatch.setattr("ribstudy.workflow.spot_check.recompute", lambda stage, run, item, folder: (stage.name, item))
    assert check(study, seed=1) == check(study, seed=1)
    assert set(check(study, seed=1, per_stage=1)) < set(check(study, seed=1))
    assert len({tuple(check(study, seed=seed, per_stage=1)) for seed in range(9)}) > 1
    assert [item for stage, item in check(study, seed=0, per_stage=9) if stage == "rib"] == ["train_000000"]  # all published


def test_a_falsified_item_is_named_with_both_values(study):
    def change(arrays):
        true = arrays["true"].astype(np.int64)
        true[0] = 5000
        return {**arrays, "true": true}

    falsify(study, "evaluate-rib", change)
    checks = check(study, seed=0)
    assert [one.ok for one in checks if one.stage == "evaluate-rib"] == [False, False]
    with pytest.raises(SpotCheckError, match=r"2 of 7 checked items") as caught:
        require_ok(checks)
    first = next(one for one in checks if not one.ok)
    line = str(caught.value).splitlines()[1]
    assert line.startswith(f"  evaluate-rib {first.item} (result evaluate-rib-{first.key}): true is 5000 as published and ")
    assert f"{first.difference.found} now" in line


def test_a_falsified_item_is_not_used_to_compute_others(study):
    falsify(study, "rib", lambda arrays: {**arrays, "scores": arrays["scores"] + 1})
    checks = check(study, seed=0)
    assert {one.stage for one in checks if not one.ok} == {"rib"}


def test_without_the_weights_nothing_can_be_checked(study):
    manifest = study.store.published_folder / "manifest.json"
    entries = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({name: entry for name, entry in entries.items() if entry["stage"] != "classifier"}))
    assert check(study) == []


@pytest.mark.parametrize(
    ("published", "found", "size"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0),
        ([1.0, NAN], [1.0, NAN], 0),
        ([1.0, -4.0], [1.0, -3.0], 0.25),
        ([0.0, 0.0], [0.0, 1.0], math.inf),
        ([1.0, 2.0], [1.0, NAN], math.inf),
        ([1, 2], [2.0, 2.0], 0.5),
        ([[1, 2]], [1, 2], math.inf),
        ("margin", "margin", 0),
        ("margin", "end", math.inf),
        ([], [], 0),
        (3, 3, 0),
        (4, 3, 0.25),
        (np.array([200, 3], np.uint8), np.array([199, 3], np.uint8), 0.005),
        (np.array([3, 200], np.uint8), np.array([4, 200], np.uint8), 0.005),
    ],
)
def test_deviations(published, found, size):
    difference = compare({"n": np.array(published)}, {"n": np.array(found)}, ARRAYS)
    assert difference.size == pytest.approx(size)
    assert bool(difference.field) == (size > 0)


def test_the_field_and_place_that_differ_most_are_named():
    published = {"a": np.array([10, 0]), "b": np.array([[1, 2], [3, 4]]), "same": np.array("x")}
    found = {"a": np.array([10, 1]), "b": np.array([[1, 2], [5, 4]]), "same": np.array("x")}
    assert compare(published, found, ARRAYS) == Difference(0.5, "b", "3", "5")
    assert compare(published, {**found, "c": np.array(1)}, ARRAYS) == Difference(math.inf, "c", "missing", "there")
    assert compare({}, {}, ARRAYS) == Difference(0)


def test_masks_are_compared_by_the_share_of_their_pixels():
    mask = np.zeros((10, 10), np.uint8)
    other = mask.copy()
    other[3, :2] = 255  # a pixel is as different as any other, whatever its class
    assert compare(mask, other, MASKS) == Difference(0.02, "mask", "0", "255")


def test_the_result_is_written_and_a_training_is_only_reported(tmp_path):
    judged = Check("rib", "abc", "image", Difference(0.5, "maps", "1.0", "1.5"), tolerance_of("rib"), 1.0)
    trained = dataclasses.replace(judged, stage="toy", item="seed-0", tolerance=tolerance_of("toy"))
    require_ok([trained])
    write_checks(tmp_path / "checks" / "study.json", [judged, trained])
    written = json.loads((tmp_path / "checks" / "study.json").read_text())
    assert [row["ok"] for row in written["checks"]] == [False, True]
    assert written["checks"][0]["difference"] == {"size": 0.5, "field": "maps", "published": "1.0", "found": "1.5"}
    assert written["machine"]
