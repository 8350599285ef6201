"""Maps of photographs: classes, methods, files and figures, with two steps instead of ten."""

import numpy as np
import pytest
import torch
from PIL import Image

from ribstudy.cli.main import main
from ribstudy.models.cam_net import build_imagenet_cam_net
from ribstudy.report import look

TWO_STEPS = look.LOOK_SETTINGS.model_copy(update={"iterations": 2})
QUICK = {
    name: settings.model_copy(update={"iterations": 2}) if hasattr(settings, "iterations") else settings
    for name, settings in look.METHODS.items()
}
EGYPTIAN_CAT = 285


@pytest.fixture(scope="module")
def net():
    return build_imagenet_cam_net()


@pytest.fixture(scope="module")
def cat():
    return look.photographs()["cat"]


@pytest.fixture(scope="module")
def explanation(net, cat):
    return look.explain(net, cat, settings=TWO_STEPS)


@pytest.fixture
def quick(monkeypatch):
    """Two steps on small photographs, instead of the defaults."""
    monkeypatch.setattr(look, "LONG_SIDE", 128)
    monkeypatch.setattr(look, "AUXILIARY_SIDE", 64)
    monkeypatch.setattr(look, "METHODS", QUICK)


def test_the_cat_is_an_egyptian_cat(explanation):
    assert explanation.class_name == "Egyptian cat"
    assert 0.2 < explanation.probability < 0.6
    assert explanation.method == "RIB"


def test_maps_lie_on_the_photograph_and_grow_from_the_cam(explanation):
    assert explanation.image.shape == (213, 320, 3)
    assert explanation.maps.shape == (2, 213, 320)
    assert explanation.maps.min() >= 0
    assert 0.9 < explanation.maps.max() <= 1
    np.testing.assert_array_equal(explanation.cam, explanation.maps[0])
    assert not np.array_equal(explanation.rib, explanation.cam)


def test_a_second_time_gives_the_same_maps_and_leaves_the_weights(net, cat, explanation):
    before = {name: value.clone() for name, value in net.state_dict().items()}
    again = look.explain(net, cat, EGYPTIAN_CAT, settings=TWO_STEPS)
    np.testing.assert_array_equal(again.maps, explanation.maps)
    np.testing.assert_array_equal(again.scores, explanation.scores)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_auxiliary_photographs_are_of_other_classes(net, explanation):
    images, labels = look.auxiliary_batch(net, explanation.image, EGYPTIAN_CAT)
    assert images.shape == (3, 3, 224, 224)
    assert labels.sum(dim=1).tolist() == [1, 1, 1]
    assert labels[:, EGYPTIAN_CAT].sum() == 0


def test_a_cat_is_an_auxiliary_photograph_for_a_cup_but_not_for_another_cat(net, explanation):
    other_image = np.zeros_like(explanation.image)
    labels = {name: look.auxiliary_batch(net, other_image, look.class_index(name))[1] for name in ("espresso", "tabby")}
    assert labels["espresso"][:, EGYPTIAN_CAT].sum() == 1
    assert labels["tabby"][:, EGYPTIAN_CAT].sum() == 0


def test_a_photograph_is_not_its_own_auxiliary_photograph(net, explanation):
    labels = look.auxiliary_batch(net, explanation.image, look.class_index("espresso"))[1]
    assert labels[:, EGYPTIAN_CAT].sum() == 0


def test_photographs_are_colour_images():
    for name, photo in look.photographs().items():
        assert photo.dtype == np.uint8, name
        assert photo.ndim == 3, name
        assert photo.shape[2] == 3, name


def test_class_names_are_unique():
    assert len(set(look.class_names())) == len(look.class_names()) == 1000


@pytest.mark.parametrize("name", ["Egyptian cat", "egyptian CAT", " Egyptian cat "])
def test_a_class_is_found_in_any_case(name):
    assert look.class_index(name) == EGYPTIAN_CAT


def test_a_class_is_found_by_each_name_that_it_lists():
    for index, name in enumerate(look.class_names()):
        assert look.class_index(name) == index
    assert look.class_index("Tinca tinca") == look.class_index("tench") == 0


def test_the_full_name_wins_over_a_synonym():
    assert look.class_names()[look.class_index("cardigan")] == "cardigan"


def test_an_ambiguous_synonym_is_an_error_that_names_the_classes():
    with pytest.raises(ValueError, match=r"'crane' may mean 'crane \(.*bird.*\)' or 'crane \(.*\)'"):
        look.class_index("crane")


@pytest.mark.parametrize("name", ["Egiptian cat", "egyptian"])
def test_an_unknown_class_is_an_error_with_a_suggestion(name):
    with pytest.raises(ValueError, match=f"class '{name}' is unknown.*Egyptian cat"):
        look.class_index(name)


@pytest.mark.parametrize("name", ["", "qqqq"])
def test_an_unknown_class_like_no_other_points_to_the_search(name):
    with pytest.raises(ValueError, match=r"is unknown to ImageNet; see .*--search"):
        look.class_index(name)


def test_search_finds_by_a_part_else_by_similarity():
    assert "Egyptian cat" in look.search_classes("CAT")
    assert look.search_classes("egiptian cat")[0] == "Egyptian cat"
    with pytest.raises(ValueError, match="qqqq"):
        look.search_classes("qqqq")


def test_a_photograph_of_any_size_is_brought_to_the_working_size(net):
    strip = look.explain(net, np.full((3, 900, 3), 127, np.uint8), 0, settings=TWO_STEPS)
    assert strip.image.shape == (1, 320, 3)
    assert look.draw(strip).axes


def make_missing(path):
    return "no such file"


def make_text(path):
    path.write_text("this is not an image")
    return "is not readable as one of JPEG, PNG"


def make_empty(path):
    path.write_bytes(b"")
    return "is empty"


def make_folder(path):
    path.mkdir()
    return "the folder contains no image file"


def make_truncated(path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    image.save(path, format="JPEG" if path.suffix == ".jpg" else "PNG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return "truncated"


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("make", [make_missing, make_text, make_empty, make_folder, make_truncated])
def test_an_unreadable_file_is_an_error_of_one_line_that_names_it(tmp_path, capsys, make, suffix):
    path = tmp_path / f"photo.{suffix}"
    reason = make(path)
    assert main(["look", str(path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {path}: ")
    assert reason in line
    assert list(tmp_path.glob("*_look.html")) == []


def test_the_figure_has_the_photograph_the_cam_and_the_last_step(explanation):
    figure = look.draw(explanation)
    titles = [panel.get_title() for panel in figure.axes if panel.get_title()]
    assert titles == ["photograph", "CAM", "RIB, 2 steps"]
    assert "Egyptian cat" in figure.get_suptitle()


def test_a_figure_of_ten_steps_fills_the_panels(explanation):
    heat = np.linspace(0, 1, 320, dtype=np.float32) * np.ones((10, 213, 1), np.float32)
    many = look.Explanation(explanation.image, "tench", 0.5, heat, np.ones(10))
    titles = [panel.get_title() for panel in look.draw(many).axes]
    assert titles == ["photograph", "CAM", "RIB, 3 steps", "RIB, 6 steps", "RIB, 8 steps", "RIB, 10 steps"]


@pytest.mark.parametrize("method", look.METHODS)
def test_every_method_has_a_map_for_each_of_its_steps(net, cat, method, quick):
    found = look.explain(net, cat, EGYPTIAN_CAT, settings=QUICK[method])
    assert found.maps.shape == (2 if method in ("rib", "rib-fast", "advcam") else 1, *found.image.shape[:2])
    assert found.maps.min() >= 0
    assert 0.9 < found.maps.max() <= 1
    assert len(found.scores) == {"rib": 2, "rib-fast": 1}.get(method, 0)


def test_the_first_map_of_rib_and_advcam_is_the_cam_of_torchcam(net, cat, quick):
    cam, rib, advcam = (look.explain(net, cat, EGYPTIAN_CAT, settings=QUICK[name]).cam for name in ("cam", "rib", "advcam"))
    np.testing.assert_allclose(rib, cam, atol=1e-4)
    np.testing.assert_allclose(advcam, cam, atol=1e-4)


def test_the_command_writes_a_report_next_to_the_photograph(tmp_path, capsys, quick, cat):
    photo = tmp_path / "my photo.jpg"
    Image.fromarray(cat).save(photo)
    assert main(["look", str(photo), "--class", "tabby", "--class", "espresso", "--method", "rib", "--method", "cam"]) == 0
    report = tmp_path / "my photo_look.html"
    assert capsys.readouterr().out == f"{report}\n"
    text = report.read_text()
    assert [word for word in ("tabby", "espresso", "RIB", "CAM") if word not in text] == []
    assert text.count("<h3>") == 4
    assert text.count('type="range"') == 2  # the CAM has a single map


@pytest.mark.parametrize(
    ("option", "terminal", "screen", "opened"),
    [
        ([], True, ":0", True),
        ([], False, ":0", False),
        ([], True, "", False),
        (["--open"], False, "", True),
        (["--no-open"], True, ":0", False),
    ],
)
def test_the_report_opens_where_somebody_sits_before_a_screen(tmp_path, monkeypatch, quick, option, terminal, screen, opened):
    asked = []
    monkeypatch.setattr("webbrowser.open", lambda address: asked.append(address) or True)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal, raising=False)
    monkeypatch.setenv("DISPLAY", screen)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    out = tmp_path / "cat.html"
    assert main(["look", "cat", "--method", "cam", "--out", str(out), *option]) == 0
    assert asked == ([out.as_uri()] if opened else [])


def test_a_browser_that_does_not_open_is_an_error_only_if_it_was_asked_for(tmp_path, monkeypatch, capsys, quick):
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    command = ["look", "cat", "--method", "cam", "--out", str(tmp_path / "cat.html")]
    assert main(command) == 0
    assert main([*command, "--open"]) == 1
    assert "open the file yourself" in capsys.readouterr().err


def test_the_learning_rate_is_of_rib_alone():
    assert look._method("rib", 5e-5) == look.LOOK_SETTINGS.model_copy(update={"learning_rate": 5e-5})
    assert look._method("advcam", 5e-5) == look.METHODS["advcam"]


def test_the_fast_mode_takes_the_steps_of_rib_at_once():
    fast, steps = look.METHODS["rib-fast"], look.LOOK_SETTINGS
    assert (fast.learning_rate, fast.iterations, fast.scales) == (steps.learning_rate, steps.iterations, steps.scales)
    assert [look.title_of(settings) for settings in (fast, steps)] == ["fast RIB", "RIB"]


def test_a_folder_is_one_report_with_the_most_probable_classes(tmp_path, quick, cat):
    for name in ("b.jpg", "a.png", ".hidden.jpg"):
        Image.fromarray(cat).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not an image")
    assert look.look([tmp_path], top=2, methods=["cam"], out=tmp_path / "all.html") == tmp_path / "all.html"
    text = (tmp_path / "all.html").read_text()
    assert 0 < text.index("a.png") < text.index("b.jpg")
    assert ".hidden" not in text
    assert text.count("<h3>") == 4


def test_all_unreadable_files_are_named_before_the_work(tmp_path, monkeypatch):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_text("this is not an image")
    monkeypatch.setattr(look, "build_imagenet_cam_net", None)  # would fail
    with pytest.raises(ValueError, match=r"a\.jpg: .*\n.*b\.jpg: "):
        look.look([tmp_path])


def test_a_photograph_is_loaded_as_it_appears_on_screen(tmp_path, monkeypatch):
    """The decoder is the one for folders of own images: upright, white behind transparency, 16 bits scaled to 8."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be rotated by 90 degrees clockwise
    deep = np.full((2, 3), 257 * 100, np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    Image.new("RGBA", (3, 2), (0, 0, 0, 0)).save(tmp_path / "rotated.png", exif=exif)
    monkeypatch.setattr(look, "_fit", lambda image: image)
    seen = [image for _, image in look._images([tmp_path / "deep.png", tmp_path / "rotated.png"])]
    np.testing.assert_array_equal(seen[0], np.full((2, 3, 3), 100))
    np.testing.assert_array_equal(seen[1], np.full((3, 2, 3), 255))


def test_the_command_takes_the_name_of_an_installed_photograph(tmp_path, quick):
    assert main(["look", "coffee", "--out", str(tmp_path / "coffee.png")]) == 0
    assert (tmp_path / "coffee.png").stat().st_size > 10_000


def test_the_command_lists_classes(capsys):
    assert main(["look", "--search", "egyptian"]) == 0
    assert capsys.readouterr().out == "Egyptian cat\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cat", "--class", "Egiptian cat"], "class 'Egiptian cat' is unknown to ImageNet; did you mean 'Egyptian cat'"),
        (["dog"], "dog: no such file, and no installed photograph has this name"),
        (["cat", "--out", "nowhere/cat.png"], "nowhere does not exist"),
        (["cat", "--out", "cat.doc"], "cat.doc: the suffix '.doc' is not known; known: html"),
        (["cat", "coffee", "--out", "both.png"], "both.png: a figure shows one map, but 2 are asked for"),
        (["cat", "--method", "ribs"], "method 'ribs' is unknown; known: rib, rib-fast, cam"),
        (["cat", "--learning-rate", "0"], "the learning rate is 0.0, but a number above 0 is needed"),
        (["cat", "--top", "0"], "classes is 0, but at least 1 is needed"),
        (["cat", "--model", "resnet5"], "model 'resnet5' is unknown to timm; did you mean resnet5"),
        (["cat", "--weights", "w.pt"], "--weights: name the model of the weights"),
        ([], "look needs an image file or a folder"),
    ],
)
def test_a_mistake_ends_with_exit_code_1_and_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(["look", *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
