"""A study with one chapter, whose results are computed in a second and can be published."""

import shutil
from pathlib import Path

import pytest
import yaml
from helpers.networks import tiny_net
from helpers.tiny_study import settings_of

from ribstudy.datasets.settings import ImageSelection
from ribstudy.report.chapter import Chapter
from ribstudy.runtime.files import write_json
from ribstudy.stages.classifier import CLASSIFIER
from ribstudy.stages.evaluate import MAP_EVALUATIONS
from ribstudy.stages.masks import EVALUATE_MASKS
from ribstudy.store import Store
from ribstudy.training.files import HISTORY
from ribstudy.workflow.job import Job
from ribstudy.workflow.jobs import CHAPTERS
from ribstudy.workflow.publication import Publication

CHAPTER = "shown"
IMAGES = ImageSelection(split="train", limit=2, masked=True)
# The threshold is chosen on other images, and no random walk and no CRF are needed.
MASKS = {"masks.walk": False, "masks.crf": False, "masks.threshold": None, "choices": {"split": "val", "limit": 1}}


def jobs(settings):
    return {
        "classifier": Job(CLASSIFIER, files=(HISTORY,)),
        "cam": Job(MAP_EVALUATIONS["cam"], IMAGES),
        "rib": Job(MAP_EVALUATIONS["rib"], IMAGES),
        "masks": Job(EVALUATE_MASKS, IMAGES, MASKS),
    }


class ShownStudy:
    """The folders of the study, and its preset. `clean` stands for a git checkout without changes."""

    def __init__(self, folder: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch):
        self.folder = folder
        self.preset = str(folder / "shown.yml")
        self.store = Store(folder / "results", folder / "published")
        folder.mkdir(parents=True, exist_ok=True)
        Path(self.preset).write_text(yaml.safe_dump(settings_of(data_root, seeds=1).model_dump(mode="json")))
        for module in ("training.classifier", "models.cam_net"):  # imported in this order, so that the first has the original
            monkeypatch.setattr(
                f"ribstudy.{module}.build_cam_net", lambda backbone, num_classes, weights: tiny_net(num_classes)
            )
        monkeypatch.setattr(
            "ribstudy.runtime.ranks.processes_with", lambda memory: 1
        )  # other processes lack these replacements
        for chapter in list(CHAPTERS):
            monkeypatch.delitem(CHAPTERS, chapter)
        monkeypatch.setitem(CHAPTERS, CHAPTER, jobs)
        monkeypatch.setattr("ribstudy.runtime.paths.RESULTS", self.store.root)
        monkeypatch.setattr("ribstudy.runtime.paths.PUBLISHED", self.store.published_folder)
        monkeypatch.setattr("ribstudy.workflow.publication.git_state", lambda: {"commit": "c0ffee", "dirty": False})

    def chapter(self, **overrides) -> Chapter:
        return Chapter(CHAPTER, self.preset, overrides)

    def show(self, chapter: Chapter | None = None) -> dict:
        """Runs the chapter: everything that it shows, as arrays, and the list of its reads in results/reads/."""
        chapter = chapter or self.chapter()
        (first, *_) = chapter.run_of("rib").items(chapter.jobs["rib"].stage)
        with chapter.open("classifier", file=HISTORY) as file:
            shown = {"history": file.read()}
        for name in ("cam", "rib"):
            shown |= {(name, item): scores.to_arrays() for item, scores in chapter.stored(name).items()}
        shown |= {("masks", item): dict(arrays) for item, arrays in chapter.stored("masks").items()}
        shown |= {("map", item): maps.to_arrays() for item, maps in chapter.items("rib", images=[first]).items()}
        write_json(self.store.root / "reads" / f"{CHAPTER}.shown.json", chapter.reads())
        return shown

    def publish(self, **options):
        return Publication.of(self.preset, self.store).write(**options)

    def forget_results(self) -> None:
        shutil.rmtree(self.store.root / "runs")

    def published_bytes(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.store.published_folder.glob("[!.]*")}
