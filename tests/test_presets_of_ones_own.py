"""Presets of one's own: strict YAML, presets that start from another one, paths, and sections given in part."""

import re

import pytest

from ribstudy.config import _shipped as shipped
from ribstudy.config import given_settings, load_settings, preset_name

CUSTOM = shipped("custom").read_text()
# Six lists, each of ten times the one before it: a million values.
BOMB = (
    "base: custom\nrib: {scales: [&a [1,1,1,1,1,1,1,1,1,1]"
    + "".join(f", &{name} [{','.join([f'*{before}'] * 10)}]" for before, name in zip("abcde", "bcdef", strict=True))
    + "]}\n"
)


@pytest.fixture
def preset(tmp_path, monkeypatch):
    """Writes a preset into a folder with spaces and other signs, and returns its path. The working directory is another one."""
    folder = tmp_path / "my presets #1, 50% $HOME 'ä'"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)

    def write(content, name="own.yml"):
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(folder / name)

    return write


def changed(first, second) -> dict:
    """The settings that differ: the values in the second, by dotted name."""

    def singles(values, prefix=""):
        for name, value in values.items():
            yield from singles(value, f"{prefix}{name}.") if isinstance(value, dict) else [(f"{prefix}{name}", value)]

    before = dict(singles(first.model_dump()))
    return {name: value for name, value in singles(second.model_dump()) if before.get(name, "none") != value}


def test_a_section_that_stands_twice_is_refused_with_both_lines(preset):
    path = preset(f"{CUSTOM}\nrib:\n  tau: 0.5\n")
    last, first = len(CUSTOM.splitlines()) + 2, CUSTOM.splitlines().index("rib:") + 1
    with pytest.raises(ValueError, match=f"own.yml, line {last}: 'rib' is there twice, first in line {first}$"):
        load_settings(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base: custom\nrib:\n  tau: 0.5\n  momentum: 0.0\n  tau: 0.6\n", "line 5: 'tau' is there twice, first in line 3"),
        ('base: custom\nrib: {tau: 0.5, "tau": 0.6}\n', "line 2: 'tau' is there twice"),
        ("base: custom\nrib.tau: 0.5\nrib: {tau: 0.6}\n", "rib.tau is given twice"),
        ("base: custom\nbase: mini\n", "line 2: 'base' is there twice, first in line 1"),
        ("base: custom\nrib:\n\ttau: 0.5\n", "line 3: a tab; YAML is indented with spaces"),
        ("base: custom\nrib: [tau, 0.5]\n", "rib = .'tau', 0.5.: expected settings by name"),
        ("base: custom\ndiscriminative_part: {}\n", r"discriminative_part = \{\} is empty, so it changes nothing"),
        ("base: custom\nrib:\n", r"rib = None: expected settings by name \(remove an empty section\)"),
        ("base: custom\nmasks: {crf: yes}\n", r"masks.crf = 'yes': .*\(write true or false\)"),
        ("base: custom\nmasks: {crf: on}\n", r"masks.crf = 'on'.*write true or false"),
        ("base: custom\nrib: {iterations: 1_0}\n", "rib.iterations = '1_0'.*decimal point"),
        ("base: custom\nrib: {iterations: 1:10}\n", "rib.iterations = '1:10'.*decimal point"),
        ("base: custom\nrib: {tau: 0,5}\n", "line 2: a name is|rib.tau = '0,5'|5 is unknown|'5'"),
        ("base: custom\nrib:\n  tau: 0,5\n", "rib.tau = '0,5'.*decimal point"),
        ("base: custom\ndata: {listed: 12}\n", r"data.listed = 12: .*\(put a text in quotes\)"),
        ("base: custom\nseed: 0.5\n", "seed = 0.5"),
        ("base: custom\n5: 1\n", "line 2: a name is expected here"),
        ("base: custom\n--- \nseed: 1\n", "line 2: expected a single document in the stream, but found another document"),
        ("base: custom\nseed: *one\n", "line 2: found undefined alias 'one'"),
        ("base: custom\nseed: !!python/object:os.system x\n", "could not determine a constructor"),
        ("- base\n", "contains no settings: it is a list"),
        ("base: custom\nrib: {scales: &r [1, *r]}\n", r", line 2: an alias stands for something that contains it"),
        (BOMB, r", line 2: there are more than 100,000 values here, perhaps through aliases"),
        ("base: custom\nseed: 4294967296\n", r"seed = 4294967296: Input should be less than 4294967296"),
        ("base: custom\ncam: {scales: [1e9]}\n", r"cam\.scales\.0 = 1000000000\.0: Input should be less than or equal to 10"),
        ("", "contains no settings: it is empty"),
        ("# nothing\n", "contains no settings: it is empty"),
        ("base: custm\n", "custm.* is unknown; known: .*did you mean custom.*base of preset .*own.yml"),
        ("base: 3\n", "base = 3: expected the name of a preset"),
        ("base: own.yml\n", "starts from itself"),
        ("base: other.yml\n", "there is no file .*other.yml"),
        (b"base: custom\n# f\xfcr uns\n", "line 2: is not text in UTF-8 .byte 0xfc."),
        ("base: custom\nseed: \0\n", "unacceptable character"),
    ],
)
def test_what_yaml_could_misread_is_refused_in_one_line(preset, text, message):
    with pytest.raises(ValueError, match=f"^preset .*({message})") as caught:
        load_settings(preset(text))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_numbers_are_those_of_yaml_1_2(preset):
    settings = load_settings(preset("base: custom\nseed: 010\nrib: {learning_rate: 1e-4}\nclassifier.weight_decay: 5E-5\n"))
    assert (settings.seed, settings.rib.learning_rate, settings.classifier.weight_decay) == (10, 1e-4, 5e-5)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_the_marks_that_editors_put_before_a_text_are_no_part_of_it(preset, encoding):
    assert load_settings(preset("base: custom\nseed: 7\n".encode(encoding))).seed == 7


def test_a_preset_says_only_in_what_it_differs(preset):
    own = load_settings(preset("base: custom\nrib.tau: 0.5\nchoices: {limit: 20}\ndata: {max_side: 512}\n"))
    expected = {"rib.tau": 0.5, "choices.limit": 20, "data.max_side": 512}
    assert changed(load_settings("custom"), own) == expected


def test_a_preset_may_start_from_a_file_next_to_it(preset):
    preset("base: custom\nrib: {tau: 0.5, iterations: 3}\n", "first.yml")
    own = load_settings(preset("base: first.yml\nrib: {tau: 0.6}\n"))
    assert changed(load_settings("custom"), own) == {"rib.tau": 0.6, "rib.iterations": 3}


def test_a_mistake_in_the_base_names_both_files(preset):
    first = preset("base: custom\nrib: {tua: 0.5}\n", "first.yml")
    own = preset("base: first.yml\n")
    files = re.escape(f"preset {own} from preset {first} from preset custom")
    with pytest.raises(ValueError, match=f"^{files}: rib.tua is unknown"):
        load_settings(own)


def test_anchors_and_merged_keys_are_no_repetition(preset):
    text = "base: custom\ncompared: &few {split: val, limit: 3}\nchoices: {<<: *few, limit: 4}\n"
    settings = load_settings(preset(text))
    assert (settings.compared.limit, settings.choices.limit, settings.choices.split) == (3, 4, "val")


def test_the_mode_of_a_preset_replaces_the_choices_of_its_base(preset):
    preset("base: custom\nrib: {spread_ratio: 0.8}\n", "first.yml")
    own = load_settings(preset("base: first.yml\nrib: {mode: paper, include_last: false}\n")).rib
    assert (own.spread_ratio, own.denominator, own.include_last) == (1.0, "region", False)


def test_missing_sections_are_named_in_one_short_message(preset):
    with pytest.raises(ValueError, match=r"has no section classifier, cam, .*; add it, or start .*base: custom") as caught:
        load_settings(preset("data: {name: folder}\n"))
    assert len(str(caught.value)) < 350
    with pytest.raises(ValueError, match=r"cam.scales is missing$"):
        load_settings(preset(CUSTOM.replace("  scales: [1.0, 0.5, 1.5]  # ours: the scales", "  blur: 0.0 #")))


@pytest.mark.parametrize("part", [{"rib": {"iterations": 3}}, {"rib.iterations": 3}])
def test_a_section_given_in_part_leaves_its_neighbours(part):
    """A whole section used to fall back to defaults of another preset: scales of 0.5 to 2, and the paper's learning rate."""
    assert changed(load_settings("custom"), load_settings("custom", part)) == {"rib.iterations": 3}
    assert given_settings(part, "x") == {"rib.iterations": 3}


def test_of_settings_that_are_no_sections_the_whole_value_is_replaced():
    sweep = load_settings("mini", {"toy.conditions": {"sweep": {"depth": [3]}, "map": []}}).toy.conditions.sweep
    assert sweep == {"depth": (3,)}


def test_settings_within_a_mode_given_as_a_section():
    assert load_settings("coco14", {"rib": {"mode": "paper"}}).rib.spread_ratio == 1.0
    assert load_settings("coco14", {"rib": {"mode": "code"}}) == load_settings("coco14")


@pytest.mark.parametrize(
    "given",
    [{"rib.tau": 0.5, "rib": {"tau": 0.6}}, {"rib": {"tau": 0.6}, "rib.tau": 0.5}, {"data.root": None, "data": {"root": "x"}}],
)
def test_a_setting_that_is_given_in_two_ways_is_refused(given):
    with pytest.raises(ValueError, match=r"^--set: .*is given twice"):
        given_settings(given, "--set")


def test_paths_of_a_preset_are_relative_to_it_or_to_the_working_directory(preset, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    path = preset("base: custom\ndata.root: images\nclassifier: {weights: net.pth}\naffinity.weights: ~/net.pth\n")
    folder = tmp_path / "my presets #1, 50% $HOME 'ä'"
    (folder / "images").mkdir()
    settings = load_settings(path)
    assert settings.data.root == folder / "images"
    assert settings.classifier.weights == str(tmp_path / "net.pth")
    assert settings.affinity.weights == str(tmp_path / "home" / "net.pth")
    assert load_settings("custom", {"data.root": "x"}).data.root == tmp_path / "x"


@pytest.mark.parametrize(
    ("root", "message"), [("", "the path is empty"), ("C:\\images", "WSL"), ("/data\r", "control character")]
)
def test_a_path_that_cannot_be_meant_is_refused(root, message):
    with pytest.raises(ValueError, match=f"data.root = .*{message}"):
        load_settings("custom", {"data.root": root})


def test_a_preset_is_found_from_the_folder_in_which_one_works(preset, tmp_path, monkeypatch):
    path = preset("base: custom\nseed: 5\n")
    monkeypatch.chdir(tmp_path / "my presets #1, 50% $HOME 'ä'")
    assert load_settings("./own.yml").seed == load_settings("own.yml").seed == load_settings(path).seed == 5
    with pytest.raises(ValueError, match=r"'own' is unknown; .*did you mean own.yml"):
        load_settings("own")
    (tmp_path / "folder.yml").mkdir()
    with pytest.raises(ValueError, match=r"folder.yml is a folder"):
        load_settings(str(tmp_path / "folder.yml"))


def test_a_file_with_the_name_of_a_preset_has_results_of_its_own(preset):
    own = preset("base: custom\nseed: 5\n", "mini.yml")
    assert preset_name("mini") == "mini" == preset_name(str(shipped("mini")))
    assert preset_name(preset("base: custom\n")) == "own"
    assert preset_name(own).startswith("mini-")
