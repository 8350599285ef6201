"""Publishing finished results while others of the same chapter are still being computed."""

import json
import shutil

import numpy as np
import pytest
from helpers.shown_study import CHAPTER, IMAGES

from ribstudy.runtime.files import write_json
from ribstudy.stages import execute
from ribstudy.stages.classifier import CLASSIFIER
from ribstudy.stages.evaluate import MAP_EVALUATIONS
from ribstudy.stages.masks import EVALUATE_MASKS
from ribstudy.workflow.contents import PublicationError
from ribstudy.workflow.job import Job
from ribstudy.workflow.jobs import CHAPTERS
from ribstudy.workflow.publication import Publication


def test_finished_results_are_published_before_a_chapter_can_run(study):
    """RIB is missing. CAM is published, with the weights that RIB needs on another machine."""
    shutil.rmtree(study.store.published_folder)
    (study.store.root / "reads" / f"{CHAPTER}.shown.json").unlink()
    scores = MAP_EVALUATIONS["rib"]
    for run, stage in ((study.chapter().run_of("rib"), scores), (study.chapter().run_of("masks"), EVALUATE_MASKS)):
        shutil.rmtree(run.result(stage).folder)
    done = Publication.of_finished(study.preset, study.store).write()
    assert [name.rsplit("-", 1)[0] for name in done.changed] == ["classifier", "evaluate-cam"]
    study.forget_results()
    chapter = study.chapter()
    assert chapter.run_of("classifier").is_finished(CLASSIFIER)
    assert chapter.run_of("cam").is_finished(MAP_EVALUATIONS["cam"])
    assert not chapter.run_of("rib").result(scores).finished


def test_what_a_chapter_has_read_is_published_with_its_headline_numbers(study, monkeypatch):
    """It can be run from the published results, while another chapter lacks RIB with another tau."""
    monkeypatch.setitem(CHAPTERS, "other", lambda settings: {"rib": Job(MAP_EVALUATIONS["rib"], IMAGES, {"rib.tau": 0.7})})
    record = f"{CHAPTER}.shown.json"
    write_json(study.store.root / "records" / record, {"gain": {"value": 0.5}})
    shown = study.show()
    shutil.rmtree(study.store.published_folder)
    Publication.of_finished(study.preset, study.store).write()
    study.forget_results()
    np.testing.assert_equal(study.show(), shown)
    assert not (study.store.root / "runs").exists()  # nothing was computed
    assert [path.name for path in (study.store.published_folder / "records").iterdir()] == [record]


def test_what_is_published_is_left_as_it_is_also_if_other_code_computed_it(study):
    Publication.of_finished(study.preset, study.store).write()
    scores = study.chapter().run_of("cam").result(MAP_EVALUATIONS["cam"])
    (scores.folder / "codes.txt").write_text("0123456789ab\n")
    assert Publication.of_finished(study.preset, study.store).write().changed == []
    shutil.rmtree(study.store.published_folder)
    with pytest.raises(PublicationError, match="other code computed it"):
        Publication.of_finished(study.preset, study.store).write()


def test_results_that_another_preset_has_published_get_the_name_of_this_one_too(study):
    manifest = study.store.published_folder / "manifest.json"
    entries = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({name: {**entry, "presets": ["other"]} for name, entry in entries.items()}))
    assert Publication.of_finished(study.preset, study.store).write().changed == []
    left = {name: entry["presets"] for name, entry in study.store.published.manifest.items()}
    assert left == {name: ["other", "shown"] for name in entries}


@pytest.mark.parametrize("missing", [True, False])
def test_weights_of_further_seeds_are_published_only_if_a_missing_result_needs_them(study, monkeypatch, missing):
    (study.store.root / "reads" / f"{CHAPTER}.shown.json").unlink()  # it was run with other jobs
    second = {"seed": 1}
    shown = {"cam": Job(MAP_EVALUATIONS["cam"], IMAGES, second), "rib": Job(MAP_EVALUATIONS["rib"], IMAGES, second)}
    monkeypatch.setitem(CHAPTERS, CHAPTER, lambda settings: shown)
    run = study.chapter(**second).run.with_images(IMAGES)
    for method in ("cam",) if missing else ("cam", "rib"):
        execute(MAP_EVALUATIONS[method], run)
    Publication.of_finished(study.preset, study.store).write()
    bundle = study.store.published.bundle(f"classifier-{CLASSIFIER.key(run.settings)}")
    assert (bundle.files if bundle else set()) == (set(CLASSIFIER.files) if missing else set())
