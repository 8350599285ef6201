"""The explorer: its script computes what the library computes, and its page works in a browser without a network."""

import json
import os
import shutil
import subprocess
from importlib.resources import files

import numpy as np
import pytest

from ribstudy.datasets.pictures import VOID
from ribstudy.evaluation.metrics import ConfusionMatrix
from ribstudy.masks.labelling import mask_of
from ribstudy.method.stored_maps import StoredMaps
from ribstudy.report import explorer
from ribstudy.report.explorer.page import LEVELS, packed, runs
from tools.browser import find_browser, open_browser

TAUS = (0.2, 0.4)
NAMES = ("bird", "cat", "dog")
NODE = shutil.which("node")
needs_browser = pytest.mark.skipif(
    find_browser() is None and not os.environ.get("CI"), reason="no browser is installed: sudo apt install chromium"
)
# Evaluates the script on data and positions of the sliders from the standard input.
EVALUATE = """
const explorer = require(process.argv[1]);
const [data, positions] = JSON.parse(require("fs").readFileSync(0));
const unpacked = explorer.unpack(data);
console.log(JSON.stringify(positions.map((chosen) => {
  const { classMaps, predicted, score } = explorer.state(unpacked, chosen);
  return { maps: classMaps.map((map) => Array.from(map)), mask: Array.from(predicted), score };
})));
"""


def example(classes: tuple[int, ...], size: tuple[int, int], seed: int) -> explorer.Example:
    """An image with random maps and a random true mask, with void pixels."""
    rng = np.random.default_rng(seed)
    shape = (3, len(classes), -(-size[0] // 16), -(-size[1] // 16))
    maps = {tau: StoredMaps(np.array(classes), size, steps=(rng.gamma(0.5, 1, shape).astype(np.float32),)) for tau in TAUS}
    truth = rng.choice([0, *(index + 1 for index in classes), VOID], size).astype(np.uint8)
    return explorer.Example(rng.integers(0, 256, (*size, 3), dtype=np.uint8), truth, NAMES, maps)


EXAMPLES = (example((1,), (48, 64), 0), example((0, 2), (40, 35), 1))


def quantised(stored: StoredMaps) -> StoredMaps:
    """The maps as the page contains them."""
    (steps,) = stored.steps
    unit = float(steps.max()) / LEVELS
    return StoredMaps(stored.classes, stored.size, steps=((steps / unit).round().astype(np.float32) * np.float32(unit),))


@pytest.mark.skipif(NODE is None and not os.environ.get("CI"), reason="node is not installed: sudo apt install nodejs")
def test_the_script_computes_the_maps_masks_and_scores_of_the_library():
    script = files(explorer) / "explorer.js"
    data = {"taus": TAUS, "colors": "", "examples": [packed(one) for one in EXAMPLES]}
    positions = [
        {"image": image, "tau": tau, "steps": steps, "threshold": threshold}
        for image in range(2)
        for tau in range(2)
        for steps in (1, 2, 3, 9)
        for threshold in (0, 0.05, 0.3, 0.9, 1)
    ]
    run = subprocess.run(
        [NODE, "-e", EVALUATE, str(script)], input=json.dumps([data, positions]), capture_output=True, text=True, check=True
    )
    for chosen, found in zip(positions, json.loads(run.stdout), strict=True):
        one = EXAMPLES[chosen["image"]]
        stored = quantised(one.maps[TAUS[chosen["tau"]]])
        maps = stored.normalized(steps=chosen["steps"])
        np.testing.assert_allclose(np.array(found["maps"]).reshape(maps.shape), maps, atol=1e-6)
        mask, shown = mask_of(maps, stored.classes, chosen["threshold"]), np.array(found["mask"]).reshape(one.truth.shape)
        near = np.abs(np.sort(maps, axis=0)[-1] - chosen["threshold"]) < 1e-6  # where rounding decides
        np.testing.assert_array_equal(shown[~near], mask[~near])
        matrix = ConfusionMatrix(len(NAMES) + 1)
        matrix.update(one.truth, shown)
        assert found["score"] == pytest.approx(matrix.summary()["miou"], abs=1e-9)


def test_packed_maps_are_close_to_the_stored_ones():
    for one in EXAMPLES:
        for stored in one.maps.values():
            np.testing.assert_allclose(quantised(stored).normalized(), stored.normalized(), atol=1e-4)


def test_runs_are_the_values_with_their_counts():
    assert runs(np.array([[0, 0, 3], [3, 3, 255]], np.uint8)) == [[0, 2], [3, 3], [255, 1]]
    assert runs(np.zeros((2, 2), np.uint8)) == [[0, 4]]


def test_images_need_the_same_taus_and_maps_of_one_scale():
    with pytest.raises(ValueError, match=r"expected \[0.2, 0.4\]"):
        explorer.show([EXAMPLES[0], explorer.Example(*list(vars(EXAMPLES[1]).values())[:3], {0.2: EXAMPLES[1].maps[0.2]})])
    two = StoredMaps(np.array([0]), (16, 16), steps=(np.ones((1, 1, 1, 1)),) * 2)
    with pytest.raises(ValueError, match="maps of 2 scales"):
        packed(explorer.Example(np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16), np.uint8), NAMES, {0.4: two}))


@needs_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_the_sliders_change_the_score_by_keyboard_without_a_network(tmp_path, width):
    path = tmp_path / "page.html"
    path.write_text(f'<!doctype html><meta charset="utf-8"><body><main>{explorer.show(EXAMPLES).data}</main></body>')
    with open_browser() as browser:
        problems, requests = [], []
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        score = page.locator(".explorer-score")
        texts = []
        for name in ("threshold", "steps", "tau"):
            score.filter(has_text="mIoU").wait_for()
            texts.append(score.inner_text())
            page.locator(f'input[name="{name}"]').press("ArrowLeft")
            page.wait_for_function("old => document.querySelector('.explorer-score').textContent !== old", arg=texts[-1])
        page.locator("select").select_option("1")
        page.wait_for_function("document.querySelector('canvas').width === 35")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert problems == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert len(set(texts)) == 3
