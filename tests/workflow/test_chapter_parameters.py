"""The results that a parameter of a chapter computes again: every parameter of every chapter is in one of the lists below."""

from pathlib import Path

import pytest
from helpers.tiny_study import settings_of

from ribstudy.workflow.batch import read_notebook
from ribstudy.workflow.book import notebooks
from ribstudy.workflow.jobs import CHAPTERS

BOOK = Path(__file__).resolve().parents[2] / "book"
PARAMETERS = {name: read_notebook(BOOK / f"{name}.ipynb") for name in notebooks(BOOK)}
# They set no single setting: what is shown, the preset with its data, and any other settings.
OF_ANY_KIND = {"preset", "data_root", "overrides"}
SHOWN = {"num_examples", "num_masks", "images", "num_places", "photo", "report", "classes", "methods"}
# Parameters that change how a stored result is read, or for how many images or seeds it is there; and another value of each.
READ = {
    ("01_toy", "threshold"): 0.2,
    ("01_toy", "seeds"): 1,
    ("01_toy", "sweep_seeds"): 1,
    **{(chapter, "seeds"): 1 for chapter in ("03_cam", "04_rib", "05_masks", "06_segmentation", "08_other_methods", "power")},
    ("discriminative_part", "seeds"): 1,
    ("09_bottleneck", "seeds"): 1,
    ("09_bottleneck", "num_images"): 1,
    ("07_ablations", "num_images"): 1,
    ("07_ablations", "num_seeds"): 1,
}
# Parameters that change a result, and the stages whose jobs they change at most. A seed changes everything that is trained.
COMPUTED = {
    **{("01_toy", name): {"toy", "toy-conditions"} for name in ("canvas", "marker_rate", "depth", "width", "training_steps")},
    ("01_toy", "rib_steps"): {"toy"},
    ("04_rib", "iterations"): {"evaluate-rib"},
    ("04_rib", "tau"): {"evaluate-rib"},
    ("04_rib", "learning_rate"): {"evaluate-rib"},
    ("06_segmentation", "iterations"): {"segmentation", "evaluate-predictions"},
    ("08_other_methods", "iterations"): {"evaluate-advcam"},
    ("08_other_methods", "step_size"): {"evaluate-advcam"},
}
OTHER = {"canvas": 44, "marker_rate": 0.2, "depth": 4, "width": 3, "training_steps": 90, "rib_steps": 9, "iterations": 3}
OTHER |= {"tau": 0.6, "learning_rate": 2e-4, "step_size": 0.02}


def results(chapter: str, data_root: Path, **overrides) -> set[tuple[str, str]]:
    """Stage and key of every result that a chapter asks for."""
    jobs = CHAPTERS[chapter](settings_of(data_root, **overrides)).values()
    return {(job.stage.name, job.stage.key(settings_of(data_root, **{**overrides, **job.overrides}))) for job in jobs}


def test_every_parameter_is_in_a_list():
    settings = {(name, parameter) for name, notebook in PARAMETERS.items() for parameter in notebook.settings}
    without = {(name, parameter) for name, parameter in settings if parameter in {"data_root", "seed"}}
    assert settings - without == READ.keys() | COMPUTED.keys()
    others = {parameter for notebook in PARAMETERS.values() for parameter in notebook.parameters} - {
        name for _, name in settings
    }
    assert others <= OF_ANY_KIND | SHOWN


@pytest.mark.parametrize(("chapter", "parameter"), READ)
def test_a_parameter_of_reading_computes_nothing_anew(chapter, parameter, data_root):
    setting = PARAMETERS[chapter].settings[parameter]
    assert results(chapter, data_root, **{setting: READ[chapter, parameter]}) <= results(chapter, data_root)


@pytest.mark.parametrize(("chapter", "parameter"), COMPUTED)
def test_a_parameter_of_a_method_leaves_the_results_before_it(chapter, parameter, data_root):
    setting = PARAMETERS[chapter].settings[parameter]
    before, after = results(chapter, data_root), results(chapter, data_root, **{setting: OTHER[parameter]})
    assert {stage for stage, _ in after - before} == COMPUTED[chapter, parameter]
