"""The parameters of a chapter, in the orders in which papermill and people execute its cells."""

from pathlib import Path

import pytest
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from ribstudy.report.parameters import check_nothing_came_late, check_parameters, read_overrides

BOOK = Path(__file__).resolve().parents[2] / "book"
OWN = '# Parameters\npreset = "study"  # settings\ntau = None  # a share\noverrides = {}  # others'
KNOWN = ["preset", "tau", "overrides"]
INJECTED = '# Parameters\npreset = "voc12"\n'


def checked(*cells: str) -> dict:
    variables: dict = {}
    for cell in cells:
        exec(cell, variables)
    check_parameters("04_rib", ["", *cells, "start(...)"], variables, KNOWN)
    return variables


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
        check_parameters(name, ["", *before_start], variables, known)
        assert variables["preset"] == "voc12"
    else:
        with pytest.raises(ValueError, match=r"papermill passed preset = 'voc12', but a later cell"):
            check_parameters(name, ["", *before_start], variables, known)
