import json

import numpy as np
import pytest

from ribstudy.published import Bundle, Published, PublishedError, pack, write_bundle
from ribstudy.runtime.files import file_digest, write_json
from ribstudy.store import Store

ITEMS = {
    "first": {
        "counts": np.array([[1, 2, 300]]),
        "map": np.array([0.1, -0.0, np.nan], np.float32),
        "stopped_by": np.array("margin"),
        "size": np.array([3, 4], np.uint8),
        "found": np.array([True, False]),
    },
    "second": {
        "counts": np.array([[-1]], np.int16),
        "map": np.zeros((0, 3), np.float16),
        "stopped_by": np.array(""),
        "rate": np.array(0.1),
        "found": np.zeros((2, 0), bool),
    },
    "third": {},
}


def bundle_of(path, items, files=None):
    write_bundle(path, items, files or {})
    return Bundle(path, {"sha256": file_digest(path)})


def published(folder, **bundles) -> Published:
    manifest = {}
    for name, items in bundles.items():
        bundle = bundle_of(folder / f"{name}.zip", items, {"history.csv": b"loss"})
        manifest[name] = {**bundle.record, "code": ["abc"], "sessions": []}
    write_json(folder / "manifest.json", manifest)
    return Published.of(folder)


def test_items_come_back_with_their_fields_shapes_types_and_bits(tmp_path):
    found = bundle_of(tmp_path / "a.zip", ITEMS).items
    assert list(found) == list(ITEMS)
    for name, arrays in ITEMS.items():
        assert set(found[name]) == set(arrays)
        for field, array in arrays.items():
            back = found[name][field]
            assert (back.shape, back.dtype) == (array.shape, array.dtype)
            assert back.tobytes() == array.tobytes()


def test_a_bundle_without_items_has_its_files(tmp_path):
    bundle = bundle_of(tmp_path / "a.zip", {}, {"history.csv": b"loss", "weights": b"\x00\x01"})
    assert len(bundle.items) == 0
    assert bundle.files == {"history.csv", "weights"}
    assert bundle.open("weights").read() == b"\x00\x01"
    with pytest.raises(FileNotFoundError, match=r"no file masks; published are history.csv, weights"):
        bundle.open("masks")


def test_whole_numbers_take_little_room():
    packed = pack({"a": {"n": np.array([0, 255])}, "b": {"n": np.array([7], np.uint16)}})
    assert packed["planes/n"].tolist() == [[0, 255, 7]]
    assert pack({"a": {"n": np.array([-1, 200])}})["kind/n"].dtype == np.int16


def test_bytes_of_the_same_place_stand_together():
    assert pack({"a": {"n": np.array([1, 0x0203], "<u2")}})["planes/n"].tolist() == [[1, 3], [0, 2]]


@pytest.mark.parametrize(
    "parts",
    [(np.array([1]), np.array([0.5])), (np.array([-1]), np.array([2**63], np.uint64)), (np.array([True]), np.array([2]))],
)
def test_values_that_would_be_rounded_are_refused(parts):
    with pytest.raises(ValueError, match=r"field n: no type holds .* without rounding"):
        pack(dict(zip("ab", ({"n": part} for part in parts), strict=True)))


def test_objects_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"[Oo]bject"):
        write_bundle(tmp_path / "a.zip", {"a": {"n": np.array([{}], dtype=object)}}, {})
    assert list(tmp_path.iterdir()) == []


def test_equal_contents_are_equal_bytes(tmp_path):
    one, other = (bundle_of(tmp_path / name, ITEMS, {"a": b"b"}) for name in ("one.zip", "other.zip"))
    assert one.path.read_bytes() == other.path.read_bytes()
    assert one.parts == other.parts != bundle_of(tmp_path / "third.zip", ITEMS, {"a": b"c"}).parts


@pytest.mark.parametrize("place", [0, -1])
def test_a_changed_byte_is_refused_by_name(tmp_path, place):
    bundle = published(tmp_path, **{"rib-1": {"a": {"n": np.arange(100)}}}).bundle("rib-1")
    content = bytearray(bundle.path.read_bytes())
    content[place] ^= 1
    bundle.path.write_bytes(content)
    with pytest.raises(
        PublishedError, match=r"rib-1\.zip: was changed after it was published .* restore it \(git checkout published\)"
    ):
        Store(tmp_path / "results", tmp_path).result("rib", "1").has_item("a")


def test_a_missing_file_is_refused_by_name(tmp_path):
    published(tmp_path, **{"rib-1": {}}).bundle("rib-1").path.unlink()
    with pytest.raises(PublishedError, match=r"rib-1\.zip: is missing, but the manifest names it"):
        Store(tmp_path / "results", tmp_path).result("rib", "1").has_file("history.csv")


@pytest.mark.parametrize("content", ["[]", '{"rib-1": 3}', '{"rib-1": {"stage": "rib"}}'])
def test_a_manifest_without_the_digests_of_its_files_is_refused_by_name(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(PublishedError, match=r"manifest\.json: has no SHA-256 for each result"):
        Published.of(tmp_path)


def test_a_manifest_that_is_not_json_is_refused_by_name(tmp_path):
    (tmp_path / "manifest.json").write_text("<<<<<<< HEAD")
    with pytest.raises(PublishedError, match=r"manifest\.json: is not JSON"):
        Published.of(tmp_path)


def test_a_new_manifest_is_noticed(tmp_path):
    store = Store(tmp_path / "results", tmp_path)
    assert store.published.bundle("rib-1") is None
    published(tmp_path, **{"rib-1": {}})
    assert store.published.bundle("rib-1") is not None
    assert json.loads((tmp_path / "manifest.json").read_text()).keys() == store.published.manifest.keys()
