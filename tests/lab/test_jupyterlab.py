"""A notebook as its editor uses it: JupyterLab in a browser, and the three commands that execute notebooks, from anywhere."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
import requests
from playwright.sync_api import TimeoutError

from ribstudy.workflow.stripped import stripped
from tools.browser import find_browser, open_browser

ROOT = Path(__file__).resolve().parents[2]
WORKING_TREE = {"PYTHONPATH": str(ROOT), "JUPYTER_CONFIG_PATH": str(ROOT / "profiles" / "jupyterlab")}
PATIENCE = 900  # seconds; guards against hanging, and measures no speed
TOKEN = "x"
TALL = {"width": 1280, "height": 4000}  # pixels: JupyterLab leaves out the outputs that are far outside the window
STDERR = '[data-mime-type="application/vnd.jupyter.stderr"], [data-mime-type="application/vnd.jupyter.error"]'
PICTURE = ".jp-OutputArea .widget-html .panel:nth-child(2) img"
SLIDER = ".jupyter-widgets.widget-slider"


def in_a_browser(test):
    """Marks a test that needs a browser and takes long."""
    asked = pytest.mark.skipif("RIBSTUDY_LAB_TESTS" not in os.environ, reason="takes minutes: make lab-test")
    return asked(pytest.mark.skipif(find_browser() is None, reason="no browser is installed")(test))


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> dict[str, str]:
    """The environment of commands whose results are in a folder of their own, and which use this working tree."""
    folder = tmp_path_factory.mktemp("lab")
    given = {f"RIBSTUDY_{name}": str(folder / name.lower()) for name in ("RESULTS", "DATA", "PUBLISHED")}
    return {**os.environ, **given, **WORKING_TREE, "OMP_NUM_THREADS": "1", "RIBSTUDY_CORES": "1"}


@pytest.fixture
def project(tmp_path, places) -> Path:
    """A repository with the notebooks of the book on the preset `tiny`, and with the filter of `make setup`."""
    folder = tmp_path / "my project"
    (folder / "book").mkdir(parents=True)
    for name in ("play", "02_data", "03_cam"):
        text = stripped((ROOT / "book" / f"{name}.ipynb").read_text())
        (folder / "book" / f"{name}.ipynb").write_text(re.sub(r'preset = \\"\w+\\"', r'preset = \\"tiny\\"', text))
    for name in (".gitattributes", ".gitignore"):
        shutil.copy(ROOT / name, folder)
    for command in (
        ["init", "-q"],
        ["config", "filter.notebook.clean", f"{shlex.quote(sys.executable)} -P -m ribstudy.workflow.stripped"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "first"],
    ):
        subprocess.run(["git", *command], cwd=folder, env=places, check=True)
    return folder


@pytest.fixture
def server(project, places) -> Iterator[str]:
    """The address of a Jupyter server in the folder of the notebooks."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-P",
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        f"--port={port}",
        f"--IdentityProvider.token={TOKEN}",
        f"--MappingKernelManager.kernel_info_timeout={PATIENCE}",
    ]
    own = {"JUPYTERLAB_WORKSPACES_DIR": str(project.parent)}  # without the notebooks that were left open elsewhere
    with (project.parent / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=project / "book", env={**places, **own}, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def open_when_ready(page, server: str, name: str) -> None:
    page.set_default_timeout(1000 * PATIENCE)
    wait_for(lambda: answers(server))
    page.goto(f"{server}/lab/tree/{name}.ipynb?token={TOKEN}")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")


def answers(server: str) -> bool:
    try:
        return requests.get(f"{server}/api", timeout=PATIENCE).ok
    except requests.ConnectionError:
        return False


def run_all(page) -> None:
    """Runs all cells when the notebook has its kernel, for which JupyterLab can ask. It can forget an early command."""
    idle, asks = page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]'), page.locator(".jp-Dialog .jp-mod-accept")
    idle.or_(asks).first.wait_for()
    if asks.count():
        asks.click()
        idle.wait_for()
    begun = page.locator(".jp-InputPrompt", has_text=re.compile(r"\[[*\d]+\]")).first
    wait_for(lambda: run_all_again(page) or became_visible(begun))


def run_all_again(page) -> None:
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


def became_visible(locator) -> bool:
    """Whether an element is there within ten seconds, in which a command reaches the kernel or is lost."""
    try:
        locator.wait_for(timeout=10_000)
    except TimeoutError:
        return False
    return True


@in_a_browser
def test_an_editor_runs_all_cells_sees_numbers_and_pictures_moves_a_slider_and_saves(server, project):
    path = project / "book" / "play.ipynb"
    with open_browser() as browser:
        page = browser.new_page(viewport=TALL)
        open_when_ready(page, server, "play")
        run_all(page)
        numbers = numbers_of(page)
        assert "num_images" in numbers.locator("table").inner_text()
        assert "records/play.tiny.json" in numbers.inner_text()
        assert "classifier: computing" in page.locator(".jp-Notebook").inner_text()
        before = shown(page)
        page.locator(SLIDER, has_text="threshold").locator(".noUi-handle").press("ArrowRight")
        page.get_by_text("RIB > 0.31").wait_for()
        assert shown(page) == before  # of a map, which has no threshold
        assert page.locator(SLIDER, has_text="threshold").locator(".widget-readout").inner_text() == "0.31"
        assert page.locator(STDERR).count() == 0
        keep_screenshot(page, "play")
        page.keyboard.press("Control+s")
        page.wait_for_selector(".jp-mod-dirty", state="detached")
        wait_for(lambda: any(cell.get("outputs") for cell in nbformat.read(path, as_version=4).cells))
    status = subprocess.run(["git", "status", "--porcelain"], cwd=project, capture_output=True, text=True, check=True)
    assert status.stdout == ""


@in_a_browser
def test_an_editor_reads_the_text_the_answer_and_the_numbers_of_a_chapter(server):
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 12_000})
        open_when_ready(page, server, "03_cam")
        run_all(page)
        found = numbers_of(page).inner_text()
        assert "mean_average_precision" in found
        assert re.search(r"extent\s+The maps are ", found), found  # a sentence of the text
        assert page.locator(".answer .admonition-title").is_visible()
        text = page.locator(".jp-Notebook")
        assert text.locator(".jp-MarkdownCell .katex").count() > 1  # equations
        assert "Unknown Directive" not in text.inner_text()
        assert page.locator(STDERR).count() == 0
        keep_screenshot(page, "chapter")


def numbers_of(page):
    """The output of the last cell, when it is there."""
    numbers = page.locator(".jp-OutputArea", has=page.locator("table", has_text="95 % interval"))
    numbers.wait_for()
    return numbers


def keep_screenshot(page, name: str) -> None:
    if folder := os.environ.get("RIBSTUDY_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"jupyterlab-{name}.png")


def shown(page) -> str:
    """The address of the picture, which is visible and loaded."""
    picture = page.locator(PICTURE).first
    assert picture.bounding_box()["width"] > 100
    assert picture.evaluate("image => image.complete && image.naturalWidth > 0")
    return picture.get_attribute("src")


def wait_for(condition) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.5)


COMMANDS = {
    "papermill": f"papermill {{notebook}} {{out}}/out.ipynb --no-progress-bar --start-timeout {PATIENCE}",
    "nbconvert": "jupyter nbconvert --to notebook --execute {notebook} --output-dir {out} --output out.ipynb "
    f"--ExecutePreprocessor.startup_timeout={PATIENCE}",
    "execute": f"jupyter execute {{notebook}} --output={{out}}/out.ipynb --startup_timeout={PATIENCE}",
}


@pytest.mark.parametrize(("command", "folder"), [*zip(COMMANDS, ("book", ".", "elsewhere"), strict=True)])
def test_commands_execute_a_notebook_from_any_working_directory(command, folder, project, places, tmp_path):
    (project / "elsewhere").mkdir()
    line = COMMANDS[command].format(
        notebook=shlex.quote(str(project / "book" / "02_data.ipynb")), out=shlex.quote(str(tmp_path))
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(line, shell=True, cwd=project / folder, env={**places, "PATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    (last,) = [cell for cell in nbformat.read(tmp_path / "out.ipynb", as_version=4).cells if "chapter.finish()" in cell.source]
    *_, output = last.outputs  # after the numbers that the text takes
    assert "num_classes" in output.data["text/html"]
    assert (Path(places["RIBSTUDY_RESULTS"]) / "records" / "02_data.tiny.json").is_file()
