"""The requirements of a run are checked before its first stage, and each problem names the setting that asks for it."""

import shutil
from types import SimpleNamespace

import pytest
import safetensors.torch
import timm
import torch
from helpers.own_folder import write_labels, write_own_folder

from ribstudy.cli.main import main
from ribstudy.config import load_settings
from ribstudy.datasets.settings import ImageSelection
from ribstudy.stages import STAGES, Run, execute
from ribstudy.stages.preflight import findings, require, room, unfinished
from ribstudy.store import Store

SMALL = {
    "classifier.batch_size": 2,
    "affinity.batch_size": 2,
    "segmentation.batch_size": 2,
    "auxiliary.batch_size": 1,
    **dict.fromkeys(["classifier.weights", "affinity.weights", "segmentation.weights"]),
}


@pytest.fixture
def folder(tmp_path):
    """Four pictures to train on, one of them with a mask, and two held out, one of them with a mask."""
    write_own_folder(tmp_path / "own")
    return tmp_path / "own"


@pytest.fixture
def lacking(folder, tmp_path):
    """The problems of a stage of a study of the small folder under other settings, in the order of the work."""

    def of(stage, images=None, preset="custom", **overrides):
        own = {"data.root": str(folder), **SMALL} if preset == "custom" else {}
        settings = load_settings(preset, own | {name.replace("__", "."): value for name, value in overrides.items()})
        run = Run(settings, store=Store(tmp_path / "results", tmp_path / "none")).with_images(images)
        work = list(unfinished(STAGES[stage], run))
        found = [finding.problem for finding in (*findings(work), *room(work)) if finding.problem]
        assert not (tmp_path / "results").exists()
        return found

    return of


def test_a_small_folder_lacks_nothing_for_segmented_images(lacking):
    assert lacking("predictions") == []


def test_a_batch_too_large_for_a_later_stage_is_said_at_once(folder, tmp_path, capsys):
    """It used to be said after the classifier, RIB and the labels of all images."""
    options = ["--preset", "custom", "--data-root", str(folder), "--results", str(tmp_path / "results")]
    for name, value in {**SMALL, "affinity.batch_size": 8}.items():
        options += ["--set", f"{name}={'null' if value is None else value}"]
    problem = "affinity.batch_size = 8: 4 training images are fewer than a batch of 8; add images, or set affinity.batch_size=1"
    assert main(["masks", *options]) == 1
    assert capsys.readouterr().err.endswith(f"error: {problem} (stage affinity)\n")
    assert not list((tmp_path / "results").glob("runs/classifier-*"))
    assert main(["rib", *options, "--each", "{}", "--each", "{classifier.batch_size: 9}"]) == 1
    assert "error: classifier.batch_size = 9: 4 training images" in capsys.readouterr().err
    assert main(["preflight", *options]) == 1
    table, printed = capsys.readouterr().out.split(problem)
    assert "missing  data     affinity.batch_size = 8" in table
    assert printed == "\n"
    assert main(["preflight", "labels", *options]) == 0
    assert capsys.readouterr().out.endswith("Nothing is missing.\n")


@pytest.mark.parametrize(
    ("stage", "overrides", "problem"),
    [
        ("predictions", {"classifier__batch_size": 5}, "classifier.batch_size = 5: 4 training images are fewer"),
        ("predictions", {"segmentation__batch_size": 5}, "segmentation.batch_size = 5: 4 training images are fewer"),
        (
            "predictions",
            {"segmentation__accumulation": 3},
            "segmentation.batch_size = 2: a batch of 2 cannot be divided",
        ),
        ("predictions", {"affinity__images": {"skip": 4}}, "affinity.images: images.skip = 4 leaves no image"),
        ("predictions", {"segmentation__images": {"class_name": "wolf"}}, "segmentation.images: images.class_name = 'wolf'"),
        ("predictions", {"segmentation__backbone": "resnet99"}, "segmentation.weights = None: backbone 'resnet99' is unknown"),
        ("masks", {"affinity__backbone": "resnet101"}, "affinity.weights = None: backbone 'resnet101' is unknown"),
        (
            "predictions",
            {"segmentation__weights": "imagenet", "segmentation__backbone": "efficientnet_b0"},
            "segmentation.weights = imagenet: no ImageNet weights for 'efficientnet_b0' are installed",
        ),
        (
            "segmentation",
            {"segmentation__truth": "dataset"},
            "segmentation.truth = dataset: 3 of 4 images, such as b, have no mask, which a training on them needs; set",
        ),
        (
            "evaluate-rib",
            {"choices": {"split": "train", "limit": None, "masked": False}},
            "choices: 3 of 4 images, such as b, have no mask, which a score needs; select only",
        ),
        ("classifier", {"preset": "mini", "classifier__batch_size": 99}, "classifier.batch_size = 99: 48 training images"),
        ("walk", {"preset": "mini", "affinity__batch_size": 99}, "affinity.batch_size = 99: 12 training images"),
    ],
)
def test_a_problem_names_its_setting(lacking, stage, overrides, problem):
    (found,) = lacking(stage, **overrides)
    assert found.startswith(problem)


def test_masks_that_the_choice_of_a_threshold_needs_are_asked_for_under_its_name(lacking, folder):
    selected = ImageSelection(split="train", masked=True)
    assert lacking("masks", selected, masks__threshold=None) == []
    shutil.rmtree(folder / "masks")
    (found,) = lacking("masks", masks__threshold=None)
    assert found.startswith(
        "masks.threshold = null: no image of split 'val' has a mask, which the choice of a threshold needs; "
    )
    assert "set masks.threshold to a number" in found
    (found,) = lacking("rib", selected)
    assert found.startswith("images: no image of split 'train' has a mask, which masked=true asks for; add masks to the data")


def test_weights_that_do_not_fit_a_later_network(lacking, tmp_path):
    path = tmp_path / "net.pth"
    for content in ({"weight": torch.zeros(1)}, "no state dict"):
        torch.save(content, path) if isinstance(content, dict) else path.write_text(content)
        (found,) = lacking("segmentation", segmentation__weights=str(path))
        assert found.startswith(f"segmentation.weights = {path}: ")
        assert "do not fit" in found or "not readable" in found
        assert "\n" not in found


@pytest.fixture(scope="module")
def state():
    """A state dict of the preset's network."""
    return timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_weights_of_torch_and_of_safetensors_are_accepted(lacking, tmp_path, state, suffix):
    path = tmp_path / f"net.{suffix}"
    torch.save(state, path) if suffix == "pth" else safetensors.torch.save_file(state, path)
    assert lacking("classifier", classifier__weights=str(path)) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: {f"module.{name}": values for name, values in state.items()}, "unexpected ['module.conv_stem.weight'"),
        (lambda state: {"state_dict": state, "epoch": 3}, "unexpected ['state_dict', 'epoch']; expected the state dict of tf_"),
        (
            lambda state: {**state, "bn1.bias": torch.full((32,), torch.nan)},
            "1 of its tensors, such as frozen.bn1.bias",
        ),
        (lambda state: {**state, "classifier.bias": torch.zeros(2)}, "size mismatch for classifier.bias"),
    ],
)
def test_weights_under_other_names_or_without_values_are_refused_before_any_work(lacking, tmp_path, state, change, message):
    path = tmp_path / "net.pth"
    torch.save(change(state), path)
    (found,) = lacking("classifier", classifier__weights=str(path))
    assert found.startswith(f"classifier.weights = {path}: ")
    assert message in found


def test_a_download_and_the_room_for_a_training_are_told(folder, tmp_path):
    of_resnet = {"data.root": str(folder), "classifier.weights": "imagenet", "classifier.backbone": "resnet50"}
    settings = load_settings("custom", of_resnet)
    work = list(unfinished(STAGES["classifier"], Run(settings, store=Store(tmp_path / "results", tmp_path / "none"))))
    needs = [finding.requirement.need for finding in (*findings(work), *room(work))]
    assert "imagenet weights of resnet50, which a run downloads if they are not here" in needs
    assert needs[-1] == f"about 312 MB in {tmp_path / 'results'}"


def test_the_dense_crf_is_asked_for_before_the_classifier(lacking, monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr("ribstudy.masks.crf.import_module", missing)
    found = lacking("predictions")
    assert [problem.partition(":")[0] for problem in found] == ["labels", "masks.crf", "predictions.crf"]
    assert "pip install pydensecrf2" in found[0]


def test_memory_disk_and_folders(lacking, monkeypatch, tmp_path):
    monkeypatch.setattr("ribstudy.runtime.limits.memory", lambda: 10**8)
    (found,) = lacking("predictions")
    assert found.startswith("predictions.crf: the CRF for 3 labels on images of up to 1.0 million pixels needs about 1.9 GB")
    monkeypatch.setattr("ribstudy.stages.requirements.shutil.disk_usage", lambda path: SimpleNamespace(free=10))
    (found,) = lacking("rib")
    assert found.startswith("--results or RIBSTUDY_RESULTS: about 122 MB will be written to")
    run = Run(load_settings("mini"), store=Store(tmp_path / "own" / "labels.csv"))
    for stage in ("toy", "data"):
        with pytest.raises(ValueError, match=r"labels.csv is a file, but results are written into a folder of this name"):
            execute(STAGES[stage], run)


def test_images_that_share_a_class_with_all_others(lacking, folder):
    write_labels(folder, {"a.png": "cat", "b.png": "cat,dog", "c.png": "cat", "d.png": "dog", "e.png": "cat", "f.png": ""})
    (found,) = lacking("rib")
    assert found.startswith("auxiliary.batch_size = 1: 1 of 4 images, such as b, share a class with every training image")
    assert lacking("rib", auxiliary__batch_size=0) == []


def test_digits_of_the_simulated_experiment(lacking, monkeypatch, tmp_path):
    assert lacking("toy", preset="mini") == []
    monkeypatch.setattr("ribstudy.runtime.paths.MNIST", tmp_path / "none.npz")
    assert lacking("toy", preset="mini") == [f"toy: {tmp_path}/none.npz is missing, which is in the repository of the study"]


def test_all_problems_come_in_one_message(folder, tmp_path):
    settings = load_settings("custom", {"data.root": str(folder)})
    run = Run(settings, store=Store(tmp_path / "results", tmp_path / "none"))
    with pytest.raises(ValueError, match=r"^3 problems were found before any work:\n  classifier.batch_size = 8: .*classifier"):
        require(list(unfinished(STAGES["predictions"], run)))


def test_a_missing_folder_is_one_problem(tmp_path, capsys):
    options = ["--preset", "custom", "--results", str(tmp_path)]
    assert main(["preflight", *options, "--data-root", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}/none/images: this folder is missing")
    assert main(["preflight", *options]) == 1
    assert "data.root is not set" in capsys.readouterr().err
