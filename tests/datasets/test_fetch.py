"""Download of VOC 2012 and SBD, from a server on this machine that offers small archives in their layout."""

import errno
import hashlib
import io
import socket
import tarfile
from pathlib import Path

import numpy as np
import pytest
from helpers.voc_server import (
    COUNTS,
    OTHERS,
    SBD_TGZ,
    TRAIN,
    TRAIN_AUG,
    VOC_TAR,
    Site,
    mask_of,
    pack,
    write_sbd,
    write_voc,
)
from scipy.io import savemat
from torchvision.datasets import SBDataset
from torchvision.datasets.voc import DATASET_YEAR_DICT

from ribstudy.datasets import fetch, voc12
from ribstudy.datasets.base import DataError
from ribstudy.datasets.devkit import list_path, read_names
from ribstudy.datasets.pictures import read_mask, write_mask


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("archives")
    write_voc(folder / "voc" / "VOCdevkit" / "VOC2012")
    write_sbd(folder / "sbd" / "benchmark_RELEASE" / "dataset")
    return {VOC_TAR: pack(folder / "voc", "w"), SBD_TGZ: pack(folder / "sbd", "w:gz")}


@pytest.fixture
def site(archives, monkeypatch) -> Site:
    """The server, with the addresses and checksums of torchvision set to its archives."""
    site = Site(dict(archives))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setitem(DATASET_YEAR_DICT["2012"], "url", site.url(VOC_TAR))
    monkeypatch.setitem(DATASET_YEAR_DICT["2012"], "md5", hashlib.md5(archives[VOC_TAR]).hexdigest())
    monkeypatch.setattr(SBDataset, "url", site.url(SBD_TGZ))
    monkeypatch.setattr(SBDataset, "md5", hashlib.md5(archives[SBD_TGZ]).hexdigest())
    yield site
    site.server.shutdown()
    site.server.server_close()


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def state(root: Path) -> dict[str, int]:
    return {str(path.relative_to(root)): path.stat().st_mtime_ns for path in root.rglob("*")}


def test_torchvision_knows_the_published_archives():
    assert (DATASET_YEAR_DICT["2012"]["filename"], SBDataset.filename) == (VOC_TAR, SBD_TGZ)
    assert DATASET_YEAR_DICT["2012"]["md5"] == "6cd6e144f989b92b3379bac3b3de84fd"
    assert SBDataset.md5 == "82b4d87ceb2ed10f6038a1cba92111cb"


def test_train_aug_is_train_in_its_order_and_the_rest_of_sbd_but_val():
    assert fetch.merge_train_aug(["b", "a"], ["c"], ["e", "a", "c", "d"]) == ["b", "a", "d", "e"]


def test_a_whole_devkit_is_downloaded_into_a_new_folder(site, tmp_path):
    devkit = fetch.fetch_voc12(tmp_path / "new", counts=COUNTS)
    assert devkit == tmp_path / "new" / "VOCdevkit" / "VOC2012"
    assert voc12.check(devkit, voc12.VOC_CLASSES, decode=True) == []
    assert read_names(devkit, "train_aug") == TRAIN_AUG
    assert sorted(path.stem for path in (devkit / fetch.MASK_FOLDER).iterdir()) == sorted(TRAIN_AUG)
    for name in TRAIN_AUG:
        mask = read_mask(devkit / fetch.MASK_FOLDER / f"{name}.png", 20)
        assert np.array_equal(mask, mask_of(name, border=name in TRAIN))
    own, copy = (devkit / folder / f"{TRAIN[0]}.png" for folder in ("SegmentationClass", fetch.MASK_FOLDER))
    assert own.read_bytes() == copy.read_bytes()
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [".fetch.lock", "SBD", "VOCdevkit", VOC_TAR, SBD_TGZ]


def test_a_second_run_asks_for_nothing_and_changes_nothing(site, tmp_path):
    devkit = fetch.fetch_voc12(tmp_path, counts=COUNTS)
    before, site.requests = state(tmp_path), []
    for root in (tmp_path, tmp_path / "VOCdevkit", devkit):
        assert fetch.fetch_voc12(root, counts=COUNTS) == devkit
    assert (state(tmp_path), site.requests) == (before, [])


def test_a_broken_connection_is_resumed(site, archives, tmp_path):
    site.cuts = [2 * fetch.CHUNK + 5, fetch.CHUNK]
    fetch.fetch_voc12(tmp_path, counts=COUNTS)
    voc_starts = [start for name, start in site.requests if name == VOC_TAR]
    assert len(voc_starts) == 3
    assert 0 == voc_starts[0] < voc_starts[1] < voc_starts[2] < len(archives[VOC_TAR])
    assert (tmp_path / VOC_TAR).read_bytes() == archives[VOC_TAR]


def test_an_interrupted_run_is_resumed_by_the_next(site, archives, tmp_path):
    part = tmp_path / f"{VOC_TAR}.part"
    part.write_bytes(archives[VOC_TAR][:1000])
    fetch.fetch_voc12(tmp_path, counts=COUNTS)
    assert site.requests == [(VOC_TAR, 1000), (SBD_TGZ, 0)]
    assert not part.exists()


def test_an_archive_that_was_complete_when_the_run_was_interrupted(site, archives, tmp_path):
    (tmp_path / f"{VOC_TAR}.part").write_bytes(archives[VOC_TAR])
    fetch.fetch_voc12(tmp_path, counts=COUNTS)
    assert site.requests[0] == (VOC_TAR, len(archives[VOC_TAR]))


def test_a_server_without_byte_ranges_sends_the_whole_file_again(site, archives, tmp_path):
    site.gives_parts = False
    (tmp_path / f"{VOC_TAR}.part").write_bytes(b"the beginning of something")
    fetch.fetch_voc12(tmp_path, counts=COUNTS)
    assert (tmp_path / VOC_TAR).read_bytes() == archives[VOC_TAR]


def test_without_a_network_the_message_says_what_to_do(site, archives, tmp_path):
    url = f"http://127.0.0.1:{closed_port()}/{VOC_TAR}"
    (tmp_path / f"{VOC_TAR}.part").write_bytes(archives[VOC_TAR][:2_000_000])
    with pytest.raises(DataError) as caught:
        fetch.fetch_voc12(tmp_path, mirror_voc=url, counts=COUNTS)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{url}: could not be downloaded (")
    for part in (
        "refused",
        "2 MB are kept",
        hashlib.md5(archives[VOC_TAR]).hexdigest(),
        str(tmp_path / VOC_TAR),
        "--mirror-voc",
    ):
        assert part in message
    assert (tmp_path / f"{VOC_TAR}.part").stat().st_size == 2_000_000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda site: site.files.pop(SBD_TGZ), r"benchmark\.tgz: could not be downloaded \(404.*--mirror-sbd"),
        (lambda site: setattr(site, "content_type", "text/html; charset=utf-8"), "returned a web page instead"),
        (
            lambda site: site.files.update({SBD_TGZ: b"another"}),
            r"returned a file with md5 b32d73e5.*it was removed.*--mirror-sbd",
        ),
    ],
)
def test_a_server_with_something_else(site, tmp_path, change, message):
    change(site)
    with pytest.raises(DataError, match=message):
        fetch.fetch_voc12(tmp_path, counts=COUNTS)
    assert not (tmp_path / "VOCdevkit").exists()
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("as_url", [True, False])
def test_archives_elsewhere_on_the_disk(site, archives, tmp_path, as_url):
    for name, data in archives.items():
        (tmp_path / name).write_bytes(data)
    places = [(tmp_path / name).as_uri() if as_url else str(tmp_path / name) for name in (VOC_TAR, SBD_TGZ)]
    devkit = fetch.fetch_voc12(tmp_path / "new", mirror_voc=places[0], mirror_sbd=places[1], counts=COUNTS)
    assert read_names(devkit, "train_aug") == TRAIN_AUG
    assert site.requests == []


def test_archives_put_there_by_hand_are_used(site, archives, tmp_path):
    for name, data in archives.items():
        (tmp_path / name).write_bytes(data)
    fetch.fetch_voc12(tmp_path, counts=COUNTS)
    assert site.requests == []


def test_a_damaged_archive_put_there_by_hand_is_named_and_kept(site, archives, tmp_path):
    (tmp_path / VOC_TAR).write_bytes(archives[VOC_TAR][:-1])
    with pytest.raises(DataError, match=rf"{VOC_TAR}: its md5 is .* remove it and run this again"):
        fetch.fetch_voc12(tmp_path, counts=COUNTS)
    assert (tmp_path / VOC_TAR).exists()


@pytest.mark.parametrize(
    ("mirror", "message"), [("ftp://host/file.tar", "pass an address with http"), ("/nowhere.tar", "no such file")]
)
def test_a_bad_mirror(site, tmp_path, mirror, message):
    with pytest.raises(DataError, match=f"--mirror-voc {mirror}: .*{message}"):
        fetch.fetch_voc12(tmp_path, mirror_voc=mirror, counts=COUNTS)


def test_an_existing_devkit_gets_only_the_list_and_the_masks(site, tmp_path):
    devkit = tmp_path / "VOC"
    write_voc(devkit)
    before = state(devkit)
    assert fetch.fetch_voc12(devkit, counts=COUNTS) == devkit
    assert site.requests == [(SBD_TGZ, 0)]
    assert read_names(devkit, "train_aug") == TRAIN_AUG
    after = state(devkit)
    folders = {"ImageSets/Segmentation"}
    assert {name: after[name] for name in before.keys() - folders} == {name: before[name] for name in before.keys() - folders}


def test_a_devkit_that_lacks_a_folder_gets_it(site, tmp_path):
    write_voc(tmp_path)
    for path in (tmp_path / "Annotations").iterdir():
        path.unlink()
    (tmp_path / "Annotations").rmdir()
    fetch.fetch_voc12(tmp_path, counts=COUNTS)
    assert voc12.check(tmp_path, voc12.VOC_CLASSES) == []


def test_an_own_list_and_own_masks_are_kept(site, tmp_path):
    write_voc(tmp_path)
    (tmp_path / "ImageSets/Segmentation/train_aug.txt").write_text("\n".join(TRAIN_AUG[::-1]))
    own = tmp_path / fetch.MASK_FOLDER / f"{OTHERS[0]}.png"
    own.parent.mkdir()
    write_mask(own, np.full((30, 40), 7, np.uint8))
    fetch.fetch_voc12(tmp_path, counts=COUNTS)
    assert list_path(tmp_path, "train_aug").read_text().splitlines() == TRAIN_AUG[::-1]
    assert read_mask(own, 20).min() == 7
    assert len(list(own.parent.iterdir())) == 5


def test_a_list_with_an_unknown_image(site, tmp_path):
    write_voc(tmp_path)
    (tmp_path / "ImageSets/Segmentation/train_aug.txt").write_text("\n".join([*TRAIN_AUG[:-1], "2009_01"]))
    with pytest.raises(DataError, match=r"train_aug\.txt: 1 of its images are neither .* such as 2009_01"):
        fetch.fetch_voc12(tmp_path, counts=COUNTS)


def test_other_counts_than_the_published_ones_write_no_list(site, tmp_path):
    for _ in range(2):
        with pytest.raises(
            DataError, match=r"train 2, train_aug 5, val 2 images, but train 1,464, train_aug 10,582, val 1,449"
        ):
            fetch.fetch_voc12(tmp_path)
    assert not (tmp_path / "VOCdevkit/VOC2012/ImageSets/Segmentation/train_aug.txt").exists()


def test_a_list_of_another_length_in_a_whole_devkit(site, tmp_path):
    devkit = fetch.fetch_voc12(tmp_path, counts=COUNTS)
    (devkit / "ImageSets/Segmentation/train_aug.txt").write_text("\n".join(TRAIN_AUG[:-1]))
    with pytest.raises(DataError, match="train_aug 4, val 2 images, but train 2, train_aug 5"):
        fetch.fetch_voc12(tmp_path, counts=COUNTS)


def test_a_run_interrupted_between_masks_is_resumed(site, tmp_path, monkeypatch):
    def full_disk(path: Path) -> np.ndarray:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(fetch, "sbd_mask", full_disk)
        with pytest.raises(OSError, match=r"No space left on device: .*SegmentationClassAug/2008_01\.png"):
            fetch.fetch_voc12(tmp_path, counts=COUNTS)
    folder = tmp_path / "VOCdevkit/VOC2012" / fetch.MASK_FOLDER
    before, site.requests = state(folder), []
    assert before.keys() == {f"{name}.png" for name in TRAIN}
    (folder / ".2008_01.png.abcd.png").write_bytes(b"half a mask of a run that was killed")
    fetch.fetch_voc12(tmp_path, counts=COUNTS)
    assert before.items() <= state(folder).items()
    assert {path.stem for path in folder.glob("[!.]*")} == set(TRAIN_AUG)
    assert site.requests == []


def test_a_run_killed_while_unpacking_is_resumed(site, tmp_path):
    (tmp_path / ".unpacking" / "VOCdevkit" / "VOC2012" / "JPEGImages").mkdir(parents=True)
    devkit = fetch.fetch_voc12(tmp_path, counts=COUNTS)
    assert voc12.check(devkit, voc12.VOC_CLASSES) == []
    assert not (tmp_path / ".unpacking").exists()


@pytest.mark.parametrize(("name", "kind"), [("../evil", tarfile.REGTYPE), ("evil", tarfile.SYMTYPE)])
def test_an_archive_that_leaves_its_folder_is_refused(site, tmp_path, monkeypatch, name, kind):
    """Even if its checksum is right."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "../../outside"
        archive.addfile(member)
    site.files[VOC_TAR] = buffer.getvalue()
    monkeypatch.setitem(DATASET_YEAR_DICT["2012"], "md5", hashlib.md5(buffer.getvalue()).hexdigest())
    with pytest.raises(DataError, match=rf"{VOC_TAR}: cannot be unpacked \(.*outside the destination"):
        fetch.fetch_voc12(tmp_path / "root", counts=COUNTS)
    assert not list(tmp_path.rglob("evil"))


def test_a_full_disk_while_downloading_names_the_file(site, tmp_path, monkeypatch):
    def full_disk(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetch, "track", full_disk)
    with pytest.raises(OSError, match=rf"No space left on device: '.*{VOC_TAR}\.part'"):
        fetch.fetch_voc12(tmp_path, counts=COUNTS)


def test_a_file_that_is_not_a_mask_of_sbd(tmp_path):
    path = tmp_path / "2008_01.mat"
    path.write_bytes(b"nothing of the kind" * 50)
    with pytest.raises(DataError, match=r"2008_01\.mat: is not a mask of SBD"):
        fetch.sbd_mask(path)
    savemat(path, {"GTinst": 1})
    with pytest.raises(DataError, match=r"2008_01\.mat: is not a mask of SBD.*GTcls"):
        fetch.sbd_mask(path)
