import json
from functools import cache

import pytest
import yaml

from ribstudy.config import load_settings, preset_names
from ribstudy.runtime.paths import PROJECT
from ribstudy.stages import STAGES, Run, key
from ribstudy.store import Store
from ribstudy.workflow import jobs as study


@pytest.mark.parametrize("preset", preset_names())
def test_every_job_has_valid_settings_and_comes_after_what_it_needs(preset, tmp_path):
    settings = load_settings(preset)
    jobs = study.all_jobs(settings)
    for number, job in enumerate(jobs):
        load_settings(preset, job.overrides)
        assert all(earlier in jobs[:number] for earlier in job.after)


def test_a_job_finds_what_it_needs_done():
    """What a job's stage needs, and what that needs, is done by jobs that it comes after: it computes its own results only."""
    settings_of = cache(lambda overrides: load_settings("mini", json.loads(overrides)))

    @cache
    def identity(stage, overrides):
        return stage, key(stage, settings_of(overrides))

    def before(job):
        earlier = [found for direct in job.after for found in all_of(direct)]
        return {identity(found.stage, json.dumps(made)) for found in earlier for made in found.results()}

    def all_of(job):
        return [job, *(earlier for direct in job.after for earlier in all_of(direct))]

    for job in study.all_jobs(load_settings("mini")):
        for made in job.results():
            needed = STAGES[job.stage].needs(settings_of(json.dumps(made)))
            assert {(stage, key(stage, settings)) for stage, settings in needed} <= before(job), (job, made)


def test_whole_stages_are_those_without_units():
    assert {name for name, stage in STAGES.items() if not stage.units} == set(study.WHOLE_STAGES)


def test_every_chapter_is_in_the_table_of_contents():
    contents = yaml.safe_load((PROJECT / "book" / "_toc.yml").read_text())
    assert set(study.chapters(load_settings("mini"))) <= {
        page["file"] for part in contents["parts"] for page in part["chapters"]
    }


def test_status_of_what_was_not_run_is_said_and_nothing_is_made(tmp_path):
    store = Store(tmp_path / "results")
    rows = study.job_rows(lambda overrides: Run(load_settings("mini", overrides), store))
    assert {row["state"] for row in rows} == {"not run"}
    assert not store.root.exists()
    changed = {row["changed"] for row in rows if row["stage"] == "rib"}
    assert "infer.masked = True, rib.mode = paper" in changed
    assert not any("infer.split = train," in text or "None" in text for text in changed)  # what the preset has too


@pytest.mark.parametrize(
    ("git", "name"),
    [
        ({"commit": "0123456789abcdef", "dirty": False}, "0123456789"),
        ({"commit": "0123456789abcdef", "dirty": True}, "0123456789*"),
        ({}, ""),
    ],
)
def test_commit_name(git, name):
    assert study.commit_name(git) == name
