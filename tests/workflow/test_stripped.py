"""The part of a notebook that git keeps."""

import json

import nbformat
import pytest

from ribstudy.workflow.stripped import main, stripped

TAGGED = {"tags": ["hide-input"], "scrolled": True, "mystnb": {"image": {"alt": "a"}}}


def notebook(**metadata) -> nbformat.NotebookNode:
    text = nbformat.v4.new_markdown_cell("# Title\n\nä")
    code = nbformat.v4.new_code_cell("x = 1\nx", metadata=TAGGED, outputs=[nbformat.v4.new_output("stream", text="1")])
    return nbformat.v4.new_notebook(cells=[text, code], metadata=metadata)


def test_cells_their_tags_and_alternative_texts_stay():
    found = nbformat.reads(stripped(nbformat.writes(notebook(toc={"base": 1}))), as_version=4)
    nbformat.validate(found)
    assert [cell.source for cell in found.cells] == ["# Title\n\nä", "x = 1\nx"]
    assert found.cells[1].metadata == {"tags": ["hide-input"], "mystnb": {"image": {"alt": "a"}}}
    assert (found.cells[1].outputs, found.cells[1].execution_count) == ([], None)
    assert found.metadata.kernelspec.name == "python3"
    assert "toc" not in found.metadata


def test_what_git_keeps_is_written_as_jupyter_writes_it_and_stays_as_it_is():
    once = stripped(json.dumps(notebook()))
    assert stripped(once) == once
    assert once == nbformat.writes(nbformat.reads(once, as_version=4)) + "\n"


def test_files_are_stripped_in_place_and_only_if_they_change(tmp_path):
    path = tmp_path / "a.ipynb"
    nbformat.write(notebook(), path)
    main([str(path)])
    before = path.stat().st_mtime_ns
    main([str(path)])
    assert path.stat().st_mtime_ns == before
    assert 'outputs": []' in path.read_text()


def test_a_text_that_is_no_notebook_is_refused():
    with pytest.raises(ValueError, match="Expecting value"):
        stripped("<<<<<<< ours")
