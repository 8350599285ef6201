"""The parameters of a chapter, in the orders in which papermill and people execute its cells."""

import re
from pathlib import Path

import pytest
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from ribstudy.report.parameters import (
    check_nothing_came_late,
    found_preset,
    naming_what_was_typed,
    parameters_in_force,
    read_overrides,
    values_not_in_use,
)

BOOK = Path(__file__).resolve().parents[2] / "book"
OWN = '# Parameters\npreset = "study"  # settings\ntau = None  # a share\noverrides = {}  # others'
KNOWN = ["preset", "tau", "overrides"]
INJECTED = '# Parameters\npreset = "voc12"\n'


def checked(*cells: str) -> dict:
    variables: dict = {}
    for cell in cells:
        exec(cell, variables)
    return parameters_in_force("04_rib", ["", *cells, "start(...)"], variables, KNOWN)


def test_values_that_papermill_inserts_after_the_defaults_hold():
    assert checked(OWN, INJECTED, "import math")["preset"] == "voc12"


@pytest.mark.parametrize(
    "cells",
    [
        [INJECTED, OWN],
        [INJECTED, "import math", OWN],
        [INJECTED, OWN.removeprefix("# Parameters\n")],  # a tool has removed the head as well
        [INJECTED, "# Parameters\npreset = 'study'\ntau = None"],  # a notebook without comments
        [INJECTED, OWN, "# Parameters\npreset = 'mini'"],  # an executed notebook that is executed again
        [OWN, INJECTED, "preset = 'study'"],
        [INJECTED, "preset, x = 'study', 1\npreset = 'study'"],
    ],
)
def test_a_value_that_a_later_cell_took_back_stops_the_chapter(cells):
    with pytest.raises(ValueError, match=r"04_rib: papermill passed preset = 'voc12', but a later cell .*tag parameters"):
        checked(*cells)


@pytest.mark.parametrize(
    "cells",
    [
        [OWN, OWN.replace("study", "mini")],  # somebody edits the cell and runs it again
        [OWN, INJECTED, OWN.replace("study", "mini")],
        [OWN, INJECTED, INJECTED.replace("voc12", "mini")],
        [INJECTED.replace("voc12", "study") + "tau = 0.4", INJECTED.replace("voc12", "mini") + "tau = 0.4"],
        [INJECTED, OWN, INJECTED],  # the remedy in a running notebook
        [OWN, INJECTED, "%matplotlib inline", "preset = preset + ''"],
        [INJECTED.replace("voc12", "study"), OWN],  # the same value
    ],
)
def test_cells_that_people_run_again_do_not(cells):
    checked(*[cell for cell in cells if not cell.startswith("%")])


def test_a_mistyped_name_at_the_very_top_is_found_although_other_cells_follow():
    with pytest.raises(ValueError, match="no parameter taau, did you mean tau"):
        checked("# Parameters\ntaau = 0.5", "import math", OWN)


def test_a_parameter_without_a_value_is_named():
    with pytest.raises(ValueError, match="04_rib: the parameter tau has no value; run the cell"):
        checked(INJECTED)


RENAMED = OWN.replace("# Parameters", "# My parameters")


@pytest.mark.parametrize("own", [RENAMED, OWN.removeprefix("# Parameters\n"), f"\n{RENAMED}"])
@pytest.mark.parametrize("others", [[], ["import math"]])
def test_a_mistyped_name_is_found_in_a_cell_that_lost_its_head(own, others):
    assert checked(own, *others)["preset"] == "study"
    with pytest.raises(ValueError, match="04_rib has no parameter seedz"):
        checked(f"{own}\nseedz = 4", *others)


def test_other_cells_may_assign_any_name():
    assert checked("x = 1  # a number", OWN, "y = 2  # another")["preset"] == "study"
    assert checked(OWN, "preset_of_others = 'mini'  # to compare with")["preset"] == "study"


def test_a_value_whose_line_was_deleted_is_not_in_force():
    """The kernel still has it from an earlier run of the cell."""
    without = "\n".join(line for line in OWN.splitlines() if not line.startswith("tau"))
    with pytest.raises(ValueError, match="04_rib: the parameter tau has no value; run the cell"):
        checked(OWN.replace("None", "0.9"), without)
    assert checked(OWN.replace("None", "0.9"), without, "# Parameters\ntau = 0.5")["tau"] == 0.5


def test_overrides_whose_line_was_deleted_are_not_in_force():
    without = "\n".join(line for line in OWN.splitlines() if not line.startswith("overrides"))
    assert checked(OWN.replace("{}", "{'rib.tau': 0.9}"), without) == {"preset": "study", "tau": None}


def test_values_that_are_not_in_use_are_found():
    used = {"preset": "study", "tau": None, "overrides": {}}
    assert values_not_in_use(["x = 1", OWN, "tau = 3"], used) == {}
    assert values_not_in_use([OWN.replace("None", "0.9")], used) == {"tau": 0.9}
    assert values_not_in_use([OWN.replace("None", "0.9"), OWN], used) == {}  # taken back


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        ("preset study: toy.hgr_threshold = 3: too large", "01_toy: threshold = 3: too large"),
        ("preset a from preset study: x.y = 1: bad; toy.depth = 0: too small", "01_toy: overrides: toy.depth = 0: too small"),
        ("preset study: big_toy.depth = 0: too small", "preset study: big_toy.depth = 0: too small"),
    ],
)
def test_errors_name_what_was_typed(problem, message):
    given = {"toy.hgr_threshold": 3, "toy.depth": 0}
    with (
        pytest.raises(ValueError, match=f"^{re.escape(message)}$"),
        naming_what_was_typed("01_toy", {"threshold": "toy.hgr_threshold"}, given),
    ):
        raise ValueError(problem)


def test_a_preset_of_ones_own_is_found_beside_the_notebook_and_in_the_project(tmp_path, monkeypatch):
    project, beside = tmp_path / "project", tmp_path / "notebooks"
    for folder in (project / "book", beside):
        folder.mkdir(parents=True)
    monkeypatch.setattr("ribstudy.runtime.paths.PROJECT", project)
    monkeypatch.chdir(beside)
    with pytest.raises(ValueError, match=r"preset = 'my.yml': there is no such file in .*notebooks, .*project, .*project/book"):
        found_preset("my.yml")
    for folder in (project, project / "book", beside):
        (folder / "my.yml").write_text("")
        assert found_preset("my.yml") == str(folder / "my.yml")
    assert found_preset("study") == "study"


def test_values_that_come_after_the_start_stop_the_end():
    check_nothing_came_late("04_rib", ["x = 1", OWN])
    with pytest.raises(ValueError, match="04_rib: preset came after the start"):
        check_nothing_came_late("04_rib", ["x = 1", INJECTED])


def overrides(given, tau=None) -> dict:
    return read_overrides("04_rib", {"tau": "rib.tau"}, {"overrides": given, "tau": tau})


@pytest.mark.parametrize(
    "given",
    [
        {"rib.tau": 0.5, "rib.learning_rate": 1e-4},
        {"rib": {"tau": 0.5, "learning_rate": "1e-4"}},  # papermill reads 1e-4 as a text
        "{rib.tau: 0.5, rib: {learning_rate: 1e-4}}",  # papermill -p overrides '...'
    ],
)
def test_overrides_are_read_in_one_way(given):
    assert overrides(given) == {"rib.tau": 0.5, "rib.learning_rate": 1e-4}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{rib.tau: 0.5, rib.tau: 0.6}", "overrides: 'rib.tau' is there twice"),
        ({"rib.tau": 0.5, "rib": {"tau": 0.6}}, "overrides: rib.tau is given twice"),
        ({"rib.tau": 0.5}, "rib.tau is given twice, as tau and in overrides"),
        ("0.5", "overrides contains no settings: it is a number"),
        ([1], "overrides = .1.: Input should be a valid dictionary"),
    ],
)
def test_settings_that_are_given_twice_or_are_none_are_refused(given, message):
    with pytest.raises(ValueError, match=f"^04_rib: {message}"):
        overrides(given, tau=0.3)


def test_a_parameter_sets_its_setting():
    assert overrides({}, tau="5e-1") == {"rib.tau": 0.5}
    assert overrides({"rib.margin": 2.0}) == {"rib.margin": 2.0}


@pytest.mark.parametrize("keep_tags", [True, False])
@pytest.mark.parametrize("name", ["01_toy", "04_rib", "own_data"])
def test_the_notebooks_of_the_book_keep_what_papermill_passes_or_stop(name, keep_tags):
    """Some tools drop the tags of cells. Papermill then inserts its values before the defaults of the notebook."""
    notebook = load_notebook_node(str(BOOK / f"{name}.ipynb"))
    for cell in notebook.cells:
        if not keep_tags:
            cell.metadata["tags"] = []
    cells = [cell.source for cell in parameterize_notebook(notebook, {"preset": "voc12"}).cells if cell.cell_type == "code"]
    before_start = cells[: next(place for place, source in enumerate(cells) if "start(" in source)]
    variables: dict = {}
    for source in before_start:
        exec(source, variables)
    known = [name for name in variables if name != "__builtins__"]
    if keep_tags:
        parameters_in_force(name, ["", *before_start], variables, known)
        assert variables["preset"] == "voc12"
    else:
        with pytest.raises(ValueError, match=r"papermill passed preset = 'voc12', but a later cell"):
            parameters_in_force(name, ["", *before_start], variables, known)
