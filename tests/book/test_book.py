"""The rendered book, made with tiny parameters (fixture `tiny_book`)."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ribstudy.workflow import batch as batches
from ribstudy.workflow.book import notebooks
from ribstudy.workflow.plan import Plan
from tools import check_links

ROOT = Path(__file__).resolve().parents[2]
LOADED = re.compile(
    r"""<(?:img|script)\b[^>]*?\bsrc="(https?:[^"]+)|<link\b[^>]*?\brel="stylesheet"[^>]*?\bhref="(https?:[^"]+)"""
)


@pytest.fixture(scope="module")
def pages(tiny_book) -> dict[str, str]:
    contents = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text())
    names = [contents["root"], *(page["file"] for part in contents["parts"] for page in part["chapters"])]
    assert tiny_book.returncode == 0, tiny_book.output[-5000:]
    return {name: (tiny_book.html / f"{name}.html").read_text() for name in names}


def test_pages_are_whole(pages):
    for name, text in pages.items():
        assert 'class="system-message"' not in text, name
        assert "Traceback (most recent call last)" not in text, name
        assert "{glue" not in text, name


def test_links_and_anchors_within_the_book_lead_somewhere(pages, tiny_book):
    assert check_links.broken_within(tiny_book.html) == []


def test_pages_load_nothing_from_the_network(pages):
    for name, text in pages.items():
        assert [a or b for a, b in LOADED.findall(text)] == [], name


def test_chapters_compute_nothing_after_their_jobs(tiny_book):
    """Every result that a chapter shows is declared, so that it is computed beforehand. Only `own_data` computes more."""
    before, after = tiny_book.after_jobs, tiny_book.work()
    assert len(before) > 40
    assert {name: after[name] for name in before} == before
    own_data = {name.partition("-")[0] for name in set(after) - set(before)}
    assert own_data <= {"data", "classifier", "cam", "rib"}
    assert len(set(after) - set(before)) == len(own_data)


def test_a_second_run_does_nothing(tiny_book, pages):
    before = (tiny_book.html / "index.html").stat().st_mtime_ns
    again = tiny_book.run("book")
    assert "Nothing to be done" in again.stdout + again.stderr
    assert (tiny_book.html / "index.html").stat().st_mtime_ns == before


def test_images_can_be_scattered_over_jobs(tmp_path):
    """A dry run: every part of a wave computes its shard of all groups of the wave, and each group is in one wave."""
    command = [Path(sys.executable).with_name("snakemake"), "--snakefile", ROOT / "Snakefile", "--cores", "2", "--dry-run"]
    command += ["results", "--config", f"preset={ROOT / 'tests' / 'smallest.yml'}", "shards=3"]
    places = {f"RIBSTUDY_{name.upper()}": str(tmp_path / name) for name in ("results", "data", "published")}
    run = subprocess.run(command, cwd=tmp_path, env={**os.environ, **places}, capture_output=True, text=True)
    said = run.stdout + run.stderr
    assert set(re.findall(r"part (\d) of 3 of", said)) == {"0", "1", "2"}
    planned = re.findall(r"^work (\S+) ", said, re.MULTILINE)
    batch = batches.read(ROOT / "batches" / "book.yml", preset=str(ROOT / "tests" / "smallest.yml"), shards=3)
    plan = Plan(batch, batches.expand(batch, ROOT / "book", notebooks(ROOT / "book")))
    scattered = [name for name, group in plan.groups.items() if group.scattered]
    assert sorted(planned) == sorted(3 * scattered)
