"""The part of a notebook that git keeps."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from traitlets.config import JSONFileConfigLoader

from ribstudy.workflow.stripped import after_save, main, stripped

ROOT = Path(__file__).resolve().parents[2]

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


@pytest.fixture
def checkout(tmp_path):
    """A function that runs git in a repository with the filter and one stripped notebook; it returns the output."""
    (tmp_path / ".gitattributes").write_text("*.ipynb filter=notebook\n")
    (tmp_path / "a.ipynb").write_text(stripped(json.dumps(notebook())))

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    git("init", "-q")
    git("config", "filter.notebook.clean", f"{shlex.quote(sys.executable)} -P -m ribstudy.workflow.stripped")
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "first")
    return git


def test_a_notebook_that_is_saved_with_outputs_is_unchanged_for_git(checkout, tmp_path):
    path = tmp_path / "a.ipynb"
    nbformat.write(notebook(), path)
    assert checkout("status", "--porcelain") == " M a.ipynb\n"
    after_save({"type": "notebook"}, str(path), contents_manager=None)
    assert checkout("status", "--porcelain") == ""


def test_other_changes_of_a_saved_notebook_are_not_staged(checkout, tmp_path):
    changed = notebook()
    changed.cells[0].source = "# Another title"
    nbformat.write(changed, tmp_path / "a.ipynb")
    after_save({"type": "notebook"}, str(tmp_path / "a.ipynb"))
    assert checkout("status", "--porcelain") == " M a.ipynb\n"
    assert checkout("diff", "--cached") == ""


def test_saving_outside_a_checkout_or_a_new_notebook_changes_nothing(checkout, tmp_path, tmp_path_factory):
    for folder in (tmp_path, tmp_path_factory.mktemp("no checkout")):
        path = folder / "new.ipynb"
        nbformat.write(notebook(), path)
        after_save({"type": "notebook"}, str(path))
    assert checkout("status", "--porcelain") == "?? new.ipynb\n"


def test_jupyterlab_calls_the_function(tmp_path):
    """Jupyter reads only this name in a folder of settings."""
    loaded = JSONFileConfigLoader("jupyter_server_config.json", str(ROOT / "profiles" / "jupyterlab")).load_config()
    assert AsyncLargeFileManager(root_dir=str(tmp_path), config=loaded).post_save_hook is after_save
