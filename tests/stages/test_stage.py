"""Keys of results, and stages on every data set."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from helpers.coco import name_of, write_coco
from helpers.devkit import write_devkit
from helpers.own_folder import write_own_folder
from helpers.tiny_study import TINY, run_in, settings_of

from ribstudy import datasets
from ribstudy.config import load_settings
from ribstudy.datasets import synthetic
from ribstudy.datasets.export import write_folder
from ribstudy.datasets.pictures import read_mask, write_mask
from ribstudy.datasets.selection import selected_names
from ribstudy.datasets.settings import ImageSelection
from ribstudy.stages import Run, execute
from ribstudy.stages.bottleneck import BOTTLENECK
from ribstudy.stages.classifier import CLASSIFIER
from ribstudy.stages.data import DATA
from ribstudy.stages.evaluate import MAP_EVALUATIONS
from ribstudy.stages.maps import CAM, RIB
from ribstudy.stages.masks import MASKS
from ribstudy.stages.segmentation import SEGMENTATION
from ribstudy.stages.toy import TOY, TOY_CONDITIONS
from ribstudy.stages.walk import LABELS
from ribstudy.store import Store


def test_keys_change_with_what_a_stage_reads_and_with_nothing_else(data_root):
    plain, other = settings_of(data_root), settings_of(data_root, **{"rib.tau": 0.5})
    assert RIB.key(plain) != RIB.key(other)
    assert CLASSIFIER.key(plain) == CLASSIFIER.key(other)
    assert CAM.key(plain) == CAM.key(other)
    assert CAM.key(plain) != CAM.key(settings_of(data_root, **{"classifier.epochs": 3}))
    assert RIB.key(plain) == RIB.key(settings_of(data_root))
    assert RIB.key(plain) == RIB.key(load_settings("mini", TINY))  # the folder of the data does not matter either


def test_a_setting_that_only_affects_reading_changes_the_keys_of_the_readers_alone(data_root):
    changes = {"rib.normalization": "range", "rib.aggregation": "last"}
    plain, other = settings_of(data_root), settings_of(data_root, **changes)
    assert RIB.key(plain) == RIB.key(other)
    assert BOTTLENECK.key(plain) == BOTTLENECK.key(other)
    assert MAP_EVALUATIONS["rib"].key(plain) != MAP_EVALUATIONS["rib"].key(other)
    assert LABELS.key(plain) != LABELS.key(other)
    of_cam, others_of_cam = (settings_of(data_root, maps="cam", **given) for given in ({}, changes))
    assert LABELS.key(of_cam) == LABELS.key(others_of_cam)


def test_the_toy_is_not_trained_again_for_another_threshold_or_more_seeds(data_root):
    keys = {TOY.key(settings_of(data_root, **changed)) for changed in ({}, {"toy.hgr_threshold": 0.5}, {"toy.seeds": 9})}
    assert len(keys) == 1
    assert TOY.key(settings_of(data_root, **{"toy.depth": 4})) not in keys


def test_conditions_of_the_toy_have_only_the_settings_that_their_networks_read(data_root):
    def key(**changed):
        return TOY_CONDITIONS.key(settings_of(data_root, **{f"toy.{name}": value for name, value in changed.items()}))

    unread = {"seeds": 9, "hgr_threshold": 0.5, "rib_steps": 7, "conditions.seeds": 9, "conditions.map": []}
    assert {key(**{name: value}) for name, value in unread.items()} | {key(**{"probe.epochs": 9})} == {key()}
    assert len({key(), key(depth=4), key(norm_layer="batch"), key(weight_decay=0.1)}) == 4
    more = settings_of(data_root, **{"toy.conditions.seeds": 9})
    assert TOY.key(more) == TOY.key(settings_of(data_root))


def test_stored_maps_are_combined_as_the_settings_say(tmp_path, data_root, trained):
    run = run_in(tmp_path, data_root, trained, images=ImageSelection(limit=1))
    execute(RIB, run)
    last = replace(run, settings=settings_of(data_root, **{"rib.aggregation": "last"}))
    (raw,), (of_last,) = run.stored(RIB).values(), last.stored(RIB).values()
    np.testing.assert_array_equal(of_last.maps()[0], raw.steps[0][-1])
    np.testing.assert_allclose(raw.maps()[0], raw.steps[0].sum(axis=0), rtol=1e-6)


def test_only_some_items_of_a_selection_can_be_computed(tmp_path, data_root, trained):
    run = run_in(tmp_path, data_root, trained)
    names = run.items(RIB)
    result = execute(MAP_EVALUATIONS["rib"], replace(run, only=(names[2], "of another set")))
    assert result.item_names() == [names[2]]
    assert run.result(RIB).item_names() == run.result(CAM).item_names() == [names[2]]
    assert not run.is_finished(RIB)


def test_masks_belong_to_the_identity_of_the_stages_that_read_them(tmp_path, data_root):
    corrected = tmp_path / "data"
    shutil.copytree(data_root, corrected)
    path = sorted((corrected / "SegmentationClass").iterdir())[0]
    mask = read_mask(path, 20)
    write_mask(path, np.where(mask == 0, 255, mask).astype(np.uint8))
    before, after = settings_of(data_root), settings_of(corrected)
    taught = {"segmentation.truth": "dataset"}
    assert CLASSIFIER.key(before) == CLASSIFIER.key(after)
    assert RIB.key(before) == RIB.key(after)
    assert BOTTLENECK.key(before) != BOTTLENECK.key(after)
    assert MAP_EVALUATIONS["cam"].key(before) != MAP_EVALUATIONS["cam"].key(after)
    assert MASKS.key(before) != MASKS.key(after)  # their threshold is chosen with masks of val
    given = [settings_of(root, **{"masks.threshold": 0.3}) for root in (data_root, corrected)]
    assert MASKS.key(given[0]) == MASKS.key(given[1])
    assert SEGMENTATION.key(given[0]) == SEGMENTATION.key(given[1])
    assert SEGMENTATION.key(settings_of(data_root, **taught)) != SEGMENTATION.key(settings_of(corrected, **taught))


@pytest.fixture(params=["folder", "voc12", "coco14"])
def kit(request, tmp_path, monkeypatch):
    """The settings of a data set other than MiniVOC, an image of train, and a mask of val (or its source)."""
    monkeypatch.setattr("ribstudy.runtime.paths.DATA", tmp_path / "cache")
    root = tmp_path / "kit"
    if request.param == "folder":
        write_own_folder(root)
        return load_settings("custom", {"data.root": str(root)}), "images/a.png", "masks/e.png"
    if request.param == "voc12":
        write_devkit(root)
        settings = load_settings("voc12", {"data.root": str(root)})
        return settings, "JPEGImages/2007_000001.jpg", "SegmentationClass/2007_000003.png"
    write_coco(root)
    settings = load_settings("coco14", {"data.root": str(root)})
    return settings, f"train2014/{name_of('train', 1)}.jpg", "annotations/instances_val2014.json"


def changed(settings, changes):
    """Settings with other values, by dotted name."""
    for name, value in changes.items():
        section, _, field = name.partition(".")
        settings = settings.model_copy(update={section: getattr(settings, section).model_copy(update={field: value})})
    return settings


def test_changed_content_of_the_same_size_is_another_result_of_every_data_set(kit):
    settings, image, mask = kit
    chosen, given = ({"masks.threshold": threshold, "segmentation.truth": "dataset"} for threshold in (None, 0.3))
    stages = {"chosen": (MASKS, chosen), "truth": (SEGMENTATION, given), "score": (MAP_EVALUATIONS["cam"], given)}
    stages |= {"given": (MASKS, given), "classifier": (CLASSIFIER, given)}

    def keys():
        return {name: stage.key(changed(settings, changes)) for name, (stage, changes) in stages.items()}

    before = keys()
    path = settings.data.root / mask
    path.write_bytes(
        path.read_bytes()[:-10] + bytes(10) if path.suffix == ".png" else path.read_bytes().replace(b"[0,", b"[1,", 1)
    )
    masks_changed = keys()
    labels_too = settings.data.name == "coco14"
    assert {name for name in before if before[name] != masks_changed[name]} == (
        set(before) if labels_too else {"chosen", "truth", "score"}
    )
    path = settings.data.root / image
    path.write_bytes(path.read_bytes()[:-10] + bytes(10))
    assert all(masks_changed[name] != key for name, key in keys().items())


def test_masks_that_came_after_the_classifier_are_checked_before_they_score(tmp_path, data_root, trained):
    copy = tmp_path / "copy"
    shutil.copytree(data_root, copy)
    for path in (copy / "SegmentationClass").iterdir():
        write_mask(path, np.where(read_mask(path, 20) == 0, 0, 255).astype(np.uint8))
    run = run_in(tmp_path / "results", copy, trained)
    assert run.is_finished(CLASSIFIER)
    for stage in (MAP_EVALUATIONS["cam"], BOTTLENECK):
        with pytest.raises(ValueError, match=r"problems in .*copy, the first: .*images with a mask are labelled"):
            execute(stage, run)


def test_other_weights_under_the_same_path_are_another_key(tmp_path, data_root):
    path = tmp_path / "weights.pth"
    keys = []
    for content in (b"one", b"two"):
        path.write_bytes(content)
        keys.append(CLASSIFIER.key(settings_of(data_root, **{"classifier.weights": str(path)})))
    assert keys[0] != keys[1]


def test_data_that_were_changed_are_checked_again(tmp_path, data_root, trained):
    run = run_in(tmp_path / "results", data_root, trained)
    execute(CLASSIFIER, run)
    copy = tmp_path / "copy"
    shutil.copytree(data_root, copy)
    assert run_in(tmp_path / "results", copy).is_finished(DATA)
    (sorted((copy / "Annotations").iterdir())[0]).write_text("<annotation/>")
    changed = run_in(tmp_path / "results", copy)
    assert CLASSIFIER.key(changed.settings) != CLASSIFIER.key(run.settings)
    with pytest.raises(ValueError, match="problems in"):
        execute(CLASSIFIER, changed)


def test_no_image_with_a_mask_is_an_error(tmp_path, data_root, trained, monkeypatch):
    run = run_in(tmp_path, data_root, trained, images=ImageSelection(masked=True))
    monkeypatch.setattr("ribstudy.datasets.voc12.VocDataset.masked_names", [])
    with pytest.raises(ValueError, match="no image of split 'train' has a mask"):
        execute(CAM, run)


SMALL = {
    "classifier.backbone": "tf_efficientnet_lite0",
    **{name: value for name, value in TINY.items() if name != "data.minivoc"},
    "cam.scales": [1.0, 0.5],
    "rib.scales": [1.0, 0.5],
    "rib.loss_scales": [1.0],
}


@pytest.mark.parametrize("preset", ["voc12", "coco14", "custom"])
def test_every_preset_runs_from_its_data_to_maps(tmp_path, monkeypatch, preset):
    """On synthetic data with a few small images; the second image of COCO has no object."""
    monkeypatch.setattr("ribstudy.runtime.paths.DATA", tmp_path / "cache")
    kit = tmp_path / "kit"
    if preset == "coco14":
        synthetic.write_coco(kit, num_train=8, num_val=2, sizes={(96, 64): 1.0})
    else:
        synthetic.write_voc(kit, num_train=6, num_train_aug=8, num_val=2, sizes={(96, 64): 1.0})
    if preset == "custom":  # one class, and images without it
        voc = datasets.training_set(load_settings("voc12", {"data.root": str(kit)}).data)
        frequent = voc.labels.sum(axis=0).argmax()
        write_folder(tmp_path / "own", voc, voc.names, [voc.class_names[frequent]])
        kit = tmp_path / "own"
        (kit / "val.txt").write_text(voc.names[np.flatnonzero(~voc.labels[:, frequent])[-1]])
    settings = load_settings(preset, {**SMALL, "data.root": str(kit)})
    run = Run(settings, ImageSelection(limit=3), Store(tmp_path / "results"))
    dataset = datasets.open_dataset(run.settings.data, "train")
    for stage in (CAM, RIB):
        result = execute(stage, run)
        assert result.item_names() == selected_names(dataset, run.images)
        for name in result.item_names():
            stored = result.read_item(name)
            assert stored.classes.tolist() == np.flatnonzero(dataset.label(name)).tolist()
            assert stored.normalized().shape == (dataset.label(name).sum(), *dataset.image(name).shape[:2])
    if preset == "coco14":
        assert not dataset.label(dataset.names[1]).any()


def test_bad_data_stop_a_run_before_training(tmp_path, data_root):
    broken = tmp_path / "data"
    shutil.copytree(data_root, broken)
    annotation = sorted((broken / "Annotations").iterdir())[0]
    annotation.write_text(annotation.read_text().replace("<name>", "<name>un", 1))
    run = run_in(tmp_path / "results", broken)
    with pytest.raises(ValueError, match=annotation.name):
        execute(CLASSIFIER, run)
    assert not run.result(CLASSIFIER).folder.exists()
