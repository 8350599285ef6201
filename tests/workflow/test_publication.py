"""Publishing, and pages from published results. The chapter of `helpers/shown_study.py` stands for all chapters."""

import dataclasses
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers.shown_study import CHAPTER, IMAGES, MASKS, jobs

from ribstudy.cli.main import main
from ribstudy.datasets.settings import ImageSelection
from ribstudy.published import MANIFEST, PublishedError
from ribstudy.report.chapter import Chapter
from ribstudy.runtime.files import file_digest, write_json
from ribstudy.stages import STAGES, execute
from ribstudy.stages.classifier import CLASSIFIER
from ribstudy.stages.evaluate import MAP_EVALUATIONS
from ribstudy.stages.maps import RIB
from ribstudy.stages.source import other_code, source_digest
from ribstudy.training.files import HISTORY
from ribstudy.workflow import costs
from ribstudy.workflow.job import Job
from ribstudy.workflow.jobs import CHAPTERS
from ribstudy.workflow.publication import Publication, PublicationError


def set_code(study, stage: str, code: str) -> None:
    """Lets the result of a stage look as if other code had computed it."""
    (folder,) = study.store.root.glob(f"runs/{stage}-*")
    (folder / "codes.txt").write_text(f"{code}\n")


def shown_names(study) -> list[str]:
    """The images of the chapter."""
    return study.chapter().run_of("rib").items(RIB)


def set_version(monkeypatch, name: str, version: int) -> None:
    raised = dataclasses.replace(STAGES[name], version=version)
    monkeypatch.setitem(MAP_EVALUATIONS, name.removeprefix("evaluate-"), raised)
    monkeypatch.setitem(CHAPTERS, CHAPTER, lambda settings: {"cam": Job(raised, IMAGES)})


def test_a_chapter_shows_the_same_from_published_results_and_computes_nothing(study):
    shown = study.show()
    study.forget_results()
    np.testing.assert_equal(study.show(), shown)
    assert not (study.store.root / "runs").exists()


def test_only_what_the_chapters_read_and_the_spot_check_needs_is_published(study):
    contents = {name.rsplit("-", 1)[0]: study.store.published.bundle(name) for name in study.store.published.manifest}
    items = {stage: sorted(bundle.items) for stage, bundle in contents.items()}
    both = shown_names(study)
    chosen_on = study.chapter().variant(MASKS, ImageSelection(**MASKS["choices"])).items(RIB)  # for the threshold of the masks
    assert items == {
        "classifier": [],
        "evaluate-cam": both,
        "evaluate-masks": both,
        "evaluate-rib": both + chosen_on,
        "rib": both[:1],  # the drawn map
    }
    assert contents["classifier"].files == {"history.csv", "validation.npz", "weights.safetensors"}
    assert all(bundle.files == set() for stage, bundle in contents.items() if stage != "classifier")


def test_the_manifest_tells_where_a_result_comes_from(study):
    run = study.chapter().run
    entry = study.store.published.manifest[f"rib-{RIB.key(run.settings)}"]
    record = run.result(RIB).record()
    assert {name: entry[name] for name in record if name != "sessions"} == {
        name: value for name, value in record.items() if name != "sessions"
    }
    (session,) = entry["sessions"]
    assert session["seconds"] == pytest.approx(record["seconds"])
    assert session["items"] == sum(one["items"] for one in record["sessions"]) == 3
    assert entry["presets"] == ["shown"]
    assert entry["published"]["commit"] == "c0ffee"


@pytest.mark.parametrize("with_results", [True, False])
def test_publishing_again_changes_no_byte(study, with_results):
    before = study.published_bytes()
    if not with_results:
        study.forget_results()
    done = study.publish()
    assert study.published_bytes() == before
    assert (done.results, done.changed, done.removed) == (5, [], [])
    assert abs(done.num_bytes - sum(len(content) for name, content in before.items() if name != costs.FILE)) < 10


def test_a_setting_that_changes_a_result_finds_nothing_published(study):
    study.forget_results()
    chapter = study.chapter(**{"rib.tau": 0.7})
    assert not chapter.run_of("rib").result(RIB).finished
    assert chapter.run_of("cam").result(MAP_EVALUATIONS["cam"]).finished  # does not read this setting


def test_a_stage_with_a_raised_version_finds_nothing_published(study, monkeypatch):
    study.forget_results()
    set_version(monkeypatch, "evaluate-cam", 99)
    chapter = Chapter(CHAPTER, study.preset, {})
    assert not chapter.run_of("cam").result(chapter.jobs["cam"].stage).finished


def test_a_changed_byte_stops_a_chapter(study):
    study.forget_results()
    path = next(study.store.published_folder.glob("evaluate-rib-*.zip"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(PublishedError, match=path.name):
        study.show()


def refused(study, match, **options):
    before = study.published_bytes()
    with pytest.raises(PublicationError, match=match):
        study.publish(**options)
    assert study.published_bytes() == before
    assert {path.name for path in study.store.published_folder.glob(".*")} <= {".lock"}


def test_results_of_other_code_are_refused(study):
    set_code(study, "evaluate-cam", "0123456789ab")
    refused(
        study, r"evaluate-cam-\w+: other code computed it \(0123456789ab; today's is \w+\); recompute it \(remove .*--recheck 3"
    )


def test_results_of_other_code_are_published_if_a_recheck_finds_them_equal(study):
    set_code(study, "rib", "0123456789ab")
    set_code(study, "evaluate-rib", "0123456789ab")
    before = {path.name: path.stat().st_mtime_ns for path in study.store.root.rglob("*")}
    study.publish(recheck=2)
    assert {path.name: path.stat().st_mtime_ns for path in study.store.root.rglob("*")} == before
    entries = {entry["stage"]: entry for entry in study.store.published.manifest.values()}
    assert entries["rib"]["code"] == ["0123456789ab"]
    assert entries["rib"]["rechecked"]["items"] == 1  # only one is published
    assert entries["evaluate-rib"]["rechecked"]["items"] == 2
    assert "rechecked" not in entries["evaluate-cam"]
    study.publish()  # needs no other recheck


def test_a_recheck_stays_valid_if_todays_code_adds_to_the_result(study):
    set_code(study, "rib", "0123456789ab")
    study.publish(recheck=1)
    (folder,) = study.store.root.glob("runs/rib-*")
    (folder / "codes.txt").write_text(f"0123456789ab\n{source_digest(RIB)}\n")
    study.publish()
    study.forget_results()
    run = study.chapter().run
    assert len(run.result(RIB).codes()) == 2
    assert not other_code(RIB, run.result(RIB))


def test_results_of_other_code_are_refused_if_a_recheck_finds_a_difference(study):
    result = study.chapter().run_of("rib").result(RIB)
    (name, _) = shown_names(study)
    maps = result.read_item(name)
    result.write_item(name, dataclasses.replace(maps, logits=maps.logits + 1))
    set_code(study, "rib", "0123456789ab")
    refused(study, rf"rib-\w+: other code .* computes something else: rib {name} .*: scores is ", recheck=1)


def test_a_training_of_other_code_is_published_if_all_its_files_are_computed_again(study):
    set_code(study, "classifier", "0123456789ab")
    refused(study, r"classifier-\w+: other code computed it")
    before = {path.name: path.stat().st_mtime_ns for path in study.store.root.rglob("*")}
    study.publish(recheck=1)
    assert {path.name: path.stat().st_mtime_ns for path in study.store.root.rglob("*")} == before
    (entry,) = (entry for entry in study.store.published.manifest.values() if entry["stage"] == "classifier")
    assert entry["code"] == ["0123456789ab"]
    assert (entry["rechecked"]["items"], entry["rechecked"]["files"]) == (0, 3)


def test_a_random_training_is_computed_again_for_all_of_its_stage_and_code(study, monkeypatch):
    seeds = (0, 1, 2)
    more = {("seed", seed): Job(CLASSIFIER, overrides={"seed": seed}, files=(HISTORY,)) for seed in seeds[1:]}
    monkeypatch.setitem(CHAPTERS, CHAPTER, lambda settings: {**jobs(settings), **more})
    chapter = study.chapter()
    for job in more:
        chapter.open(*job, file=HISTORY).close()
    study.show(chapter)
    for seed, code in zip(seeds, ("aaaaaaaaaaaa", "aaaaaaaaaaaa", "bbbbbbbbbbbb"), strict=True):
        chapter.variant({"seed": seed}).result(CLASSIFIER).path("codes.txt").write_text(f"{code}\n")
    study.publish(recheck=1)
    entries = study.store.published.manifest
    names = [f"classifier-{CLASSIFIER.key(chapter.variant({'seed': seed}).settings)}" for seed in seeds]
    rechecked = {name: entries[name]["rechecked"] for name in names}
    assert rechecked[names[2]]["files"] == 1  # no training of another code stands for it
    represented, computed = sorted(names[:2], key=lambda name: rechecked[name]["files"])
    assert rechecked[computed]["files"] > 0
    assert rechecked[represented]["files"] == 0
    assert rechecked[represented]["instead"] == [computed]
    assert other_code(CLASSIFIER, chapter.variant({"seed": 1}).result(CLASSIFIER)) is False


@pytest.mark.parametrize("file", ["weights.safetensors", "history.csv"])
def test_a_training_of_other_code_is_refused_if_one_of_its_files_differs(study, file):
    (folder,) = study.store.root.glob("runs/classifier-*")
    content = bytearray((folder / file).read_bytes())
    content[-2] ^= 1
    (folder / file).write_bytes(content)
    record = json.loads((folder / "record.json").read_text())
    record["files"][file] = file_digest(folder / file)
    write_json(folder / "record.json", record)
    set_code(study, "classifier", "0123456789ab")
    refused(study, rf"classifier-\w+: other code .* computes something else: {file} of classifier-\w+ differs", recheck=1)


def test_unfinished_results_are_refused(study):
    result = study.chapter().run_of("cam").result(MAP_EVALUATIONS["cam"])
    (_, name) = shown_names(study)
    result.path(f"items/{name}.npz").unlink()
    (study.store.published_folder / MANIFEST).unlink()  # it is not published either
    refused(study, rf"evaluate-cam-\w+: lacks 1 items or files, such as {name}; run its chapters again")


def test_chapters_that_were_not_run_are_named(study, monkeypatch):
    monkeypatch.setitem(CHAPTERS, "other", jobs)
    monkeypatch.setitem(CHAPTERS, "without jobs", lambda settings: {})
    refused(study, r"chapters that were not run with the preset .*shown\.yml: other$")


def test_a_chapter_that_was_run_with_other_settings_is_named(study):
    path = study.store.root / "reads" / f"{CHAPTER}.shown.json"
    reads = json.loads(path.read_text())
    path.write_text(json.dumps([{**reads[0], "key": "123456789abc"}, *reads[1:]]))
    refused(study, r"shown has shown classifier-123456789abc, which today's settings do not need; run it again")


@pytest.mark.parametrize(
    ("git", "reason"),
    [({"commit": "c0ffee", "dirty": True}, "uncommitted changes"), ({"commit": None, "dirty": None}, "not a git")],
)
def test_a_publication_needs_a_commit(study, monkeypatch, git, reason):
    monkeypatch.setattr("ribstudy.workflow.publication.git_state", lambda: git)
    refused(study, reason)


def test_a_folder_that_becomes_too_large_is_refused_with_its_largest_results(study):
    refused(
        study, r"0\.0 MB would be published; at most 0\.0 MB may be: evaluate-\w+-\w+ 0\.0 MB, .*, .*, .*, .*MB$", max_bytes=9
    )


def test_results_that_no_chapter_reads_any_more_are_removed_unless_another_preset_uses_them(study, monkeypatch):
    manifest = study.store.published_folder / "manifest.json"
    entries = json.loads(manifest.read_text())
    (rib,) = (name for name in entries if name.startswith("rib-"))
    (scores,) = (name for name in entries if name.startswith("evaluate-rib-"))
    entries[scores]["presets"] = ["other", "shown"]
    manifest.write_text(json.dumps(entries))
    monkeypatch.setitem(CHAPTERS, CHAPTER, lambda settings: {"cam": Job(MAP_EVALUATIONS["cam"], IMAGES)})
    chapter = study.chapter()
    assert len(chapter.stored("cam")) == 2
    (study.store.root / "reads" / f"{CHAPTER}.shown.json").write_text(json.dumps(chapter.reads()))
    done = study.publish()
    assert rib in done.removed
    left = {name.rsplit("-", 1)[0]: entry["presets"] for name, entry in study.store.published.manifest.items()}
    assert left == {"classifier": ["shown"], "evaluate-cam": ["shown"], "evaluate-rib": ["other"]}
    files = {path.stem for path in study.store.published_folder.glob("*.zip")}
    assert files == set(study.store.published.manifest)


def test_items_that_another_preset_shows_stay_published(study):
    manifest = study.store.published_folder / "manifest.json"
    entries = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({name: {**entry, "presets": ["other", "shown"]} for name, entry in entries.items()}))
    path = study.store.root / "reads" / f"{CHAPTER}.shown.json"
    reads = json.loads(path.read_text())
    path.write_text(json.dumps([{**read, "items": read["items"][:1]} for read in reads]))
    study.publish()
    assert all(entry["presets"] == ["other", "shown"] for entry in study.store.published.manifest.values())
    study.forget_results()
    assert study.chapter().run_of("cam").is_finished(MAP_EVALUATIONS["cam"])


def test_results_can_be_extended_by_images_that_are_not_published(study):
    study.forget_results()
    run = dataclasses.replace(study.chapter().run_of("cam"), images=IMAGES.model_copy(update={"limit": 3}))
    result = execute(MAP_EVALUATIONS["cam"], run)
    (name,) = result.item_names()
    assert name in run.items(RIB)
    assert name not in shown_names(study)
    assert run.is_finished(MAP_EVALUATIONS["cam"])


def test_two_publications_at_once_lose_nothing(study):
    shutil.rmtree(study.store.published_folder)
    other = study.folder / "other.yml"
    shutil.copy(study.preset, other)
    reads = study.store.root / "reads"
    shutil.copy(reads / f"{CHAPTER}.shown.json", reads / f"{CHAPTER}.other.json")
    publications = [Publication.of(str(preset), study.store) for preset in (study.preset, other)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda publication: publication.write(), publications))
    assert [entry["presets"] for entry in study.store.published.manifest.values()] == [["other", "shown"]] * 5


def test_chapters_that_are_left_out_keep_what_is_published(study, monkeypatch):
    """Another chapter reads one image only. The images of the first chapter, its other results and its record stay."""
    other = "08_other_methods"
    monkeypatch.setitem(CHAPTERS, other, lambda settings: {"cam": Job(MAP_EVALUATIONS["cam"], IMAGES)})
    before = study.published_bytes()
    reads = study.store.root / "reads"
    (of_cam,) = (read for read in json.loads((reads / f"{CHAPTER}.shown.json").read_text()) if read["stage"] == "evaluate-cam")
    write_json(reads / f"{other}.shown.json", [{**of_cam, "items": of_cam["items"][:1]}])
    write_json(study.store.root / "records" / f"{other}.shown.json", {"gain": {"value": 0.5}})
    (reads / f"{CHAPTER}.shown.json").unlink()
    done = Publication.of(study.preset, study.store, chapters=[other]).write()
    assert (done.changed, done.removed) == ([], [])
    record = study.store.published_folder / "records" / f"{other}.shown.json"
    assert json.loads(record.read_text()) == {"gain": {"value": 0.5}}
    shutil.rmtree(record.parent)
    assert study.published_bytes() == before


def test_a_chapter_that_does_not_exist_is_named(study):
    with pytest.raises(PublicationError, match=f"'04_ribs' is not a chapter that shows the preset .*; known: {CHAPTER}"):
        Publication.of(study.preset, study.store, chapters=["04_ribs"])


def test_headline_numbers_of_chapters_with_results_are_published(study, monkeypatch):
    monkeypatch.setitem(CHAPTERS, "costs", lambda settings: {})
    records, published = (folder / "records" for folder in (study.store.root, study.store.published_folder))
    for name in (f"{CHAPTER}.shown", f"{CHAPTER}.shown-0a1b2c", "costs.shown", f"{CHAPTER}.other", "status.shown"):
        write_json(records / f"{name}.json", {"miou": {"value": 0.5, "low": None, "high": None, "n": 2}})
    study.publish()
    assert [path.name for path in published.iterdir()] == [f"{CHAPTER}.shown.json"]
    assert next(published.iterdir()).read_bytes() == (records / f"{CHAPTER}.shown.json").read_bytes()
    (records / f"{CHAPTER}.shown.json").unlink()
    study.publish()
    assert list(published.iterdir()) == []


def test_the_commands_publish_and_verify(study, capsys):
    folders = ["--results", str(study.store.root), "--published", str(study.store.published_folder)]
    assert main(["publish", "--preset", study.preset, *folders]) == 0
    assert f"5 results of {study.preset} are published" in capsys.readouterr().out
    assert main(["publish", "--preset", study.preset, "--set", "rib.tau=0.1", *folders]) == 1
    assert "publish: only the settings of a preset" in capsys.readouterr().err
    assert main(["verify", "--preset", study.preset, "--per-stage", "1", *folders]) == 0
    assert "4 published items were computed again" in capsys.readouterr().out
    assert len(json.loads((study.store.root / "checks" / "shown.json").read_text())["checks"]) == 4
