"""Batches: the format of the files, the runs of a batch, and real batches that are killed, fail, and run in parallel."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
import yaml

from ribstudy.workflow import batch, plan

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests" / "smallest.yml"
BOOK = ROOT / "book"
PROFILE = str(ROOT / "profiles" / "slurm")
NOTEBOOKS = sorted(path.stem for path in BOOK.glob("*.ipynb"))
SNAKEMAKE = [str(Path(sys.executable).with_name("snakemake")), "--cores", "2"]


def written(folder: Path, **values) -> Path:
    path = folder / "own.yml"
    path.write_text(yaml.safe_dump({"about": "a test", "preset": "study", **values}))
    return path


def runs_of(folder: Path, **values) -> list[batch.BatchRun]:
    return batch.expand(batch.read(written(folder, **values)), BOOK, NOTEBOOKS)


def test_grid_and_seeds_make_their_product(tmp_path):
    runs = runs_of(tmp_path, notebooks=["04_rib"], seeds=[0, 1], grids={"tau": [0.2, 0.6]}, settings={"rib.iterations": 3})
    assert [run.name for run in runs] == [f"04_rib-seed={seed}-tau={tau}" for seed in (0, 1) for tau in (0.2, 0.6)]
    assert runs[1].overrides == {"rib.iterations": 3, "seed": 0, "rib.tau": 0.6}
    assert runs[1].parameters == {"preset": "study", "overrides": runs[1].overrides}


def test_grids_in_a_list_are_added_and_short_names_are_the_notebooks_own(tmp_path):
    grids = [{"iterations": [5]}, {"rib.tau": [0.1, 0.2]}]
    assert [run.overrides for run in runs_of(tmp_path, notebooks=["04_rib"], grids=grids)] == [
        {"rib.iterations": 5},
        {"rib.tau": 0.1},
        {"rib.tau": 0.2},
    ]
    (run,) = runs_of(tmp_path, notebooks=["06_segmentation"], grids={"iterations": [5]})
    assert run.overrides == {"segmentation.iterations": 5}


def test_a_notebook_can_have_a_grid_of_its_own(tmp_path):
    notebooks = {"04_rib": {"tau": [0.2, 0.6]}, "05_masks": {}}
    runs = runs_of(tmp_path, notebooks=notebooks, grids={"maps": ["cam"]})
    assert [run.name for run in runs] == ["04_rib-maps=cam-tau=0.2", "04_rib-maps=cam-tau=0.6", "05_masks-maps=cam"]
    with pytest.raises(ValueError, match="tau is varied twice"):
        runs_of(tmp_path, notebooks=notebooks, grids={"tau": [0.1]})


def test_chapters_of_two_presets_have_two_pages(tmp_path):
    first = {"preset": "voc12-lite", "notebooks": ["04_rib"]}
    runs = runs_of(tmp_path, notebooks=["03_cam", "04_rib"], first=first, data_root="/data", grids={"rib.tau": [0.2]})
    assert [(run.name, run.notebook, run.preset) for run in runs] == [
        ("03_cam-rib.tau=0.2", "03_cam", "study"),
        ("04_rib-rib.tau=0.2", "04_rib", "voc12-lite"),
        ("04_rib_minivoc-rib.tau=0.2", "04_rib", "study"),
    ]
    assert runs[1].parameters == {"preset": "voc12-lite", "data_root": "/data", "overrides": {"rib.tau": 0.2}}
    assert runs[2].parameters == {"preset": "study", "overrides": {"rib.tau": 0.2}}


def test_with_a_given_preset_every_chapter_has_one_page(tmp_path):
    path = written(tmp_path, first={"preset": "voc12-lite", "notebooks": ["04_rib"]})
    both = batch.read(path)
    assert both.presets == ("voc12-lite", "study")
    assert both.second_pages == {"04_rib_minivoc": "04_rib"}
    for preset in ("mini", "study", "voc12-lite"):
        alone = batch.read(path, preset=preset)
        assert (alone.presets, alone.second_pages) == ((preset,), {})
        assert [run.name for run in batch.expand(alone, BOOK, NOTEBOOKS)] == NOTEBOOKS


def test_a_notebook_that_takes_parameters_alone_gets_them(tmp_path):
    (run,) = runs_of(tmp_path, notebooks=["01_toy"], grids={"toy.depth": [3]})
    assert run.overrides == {"toy.depth": 3}
    assert run.parameters == {"preset": "study", "depth": 3}


def test_a_value_that_makes_no_file_name_gets_a_digest(tmp_path):
    (run,) = runs_of(tmp_path, notebooks=["03_cam"], grids={"cam.scales": [[1.0, 0.5]]})
    assert re.fullmatch(r"03_cam-[0-9a-f]{12}", run.name)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"preset": "minni"}, "preset 'minni' is unknown"),
        ({"notebooks": ["04_ribb"]}, "no notebook '04_ribb'"),
        ({"notebooks": ["04_rib"], "grids": {"taau": [0.1]}}, "'taau' is neither .* did you mean tau"),
        ({"notebooks": ["04_rib"], "grids": {"rib.taau": [0.1]}}, "rib.taau is unknown, did you mean tau"),
        ({"notebooks": ["04_rib"], "grids": {"tau": ["high"]}}, "rib.tau = 'high'"),
        ({"notebooks": ["04_rib"], "grids": {"tau": 0.4}}, "grids.*tau"),
        ({"notebooks": ["04_rib"], "seeds": [-1]}, "seeds.*-1"),
        ({"notebooks": ["04_rib"], "seeds": [1, 1]}, "are the same run"),
        ({"notebooks": ["04_rib"], "grids": [{"tau": [0.1]}, {"rib.tau": [0.1]}]}, "04_rib-tau=0.1 and 04_rib-rib.tau=0.1 are"),
        ({"notebooks": ["04_rib"], "grids": {"images.limit": [1]}}, "'images.limit' is neither"),
        ({"notebooks": ["04_rib"], "seeds": [1], "grids": {"seed": [2]}}, "seed is varied twice"),
        ({"notebooks": ["01_toy"], "seeds": [1]}, "01_toy does not accept all of seed"),
        ({"notebook": ["04_rib"]}, "notebook is unknown, did you mean notebooks"),
        ({"shards": 0}, "shards = 0"),
        ({"notebooks": ["04_rib"], "grids": []}, "has no runs"),
        ({"notebooks": {}}, "has no runs"),
        ({"notebooks": {"04_rib": {"rib.tau": [0.2]}}, "grids": {"tau": [0.3]}}, "rib.tau is varied twice"),
        ({"first": {"preset": "mini", "notebooks": ["04_ribb"]}}, "no notebook '04_ribb'"),
        ({"first": {"preset": "minni", "notebooks": ["04_rib"]}}, "preset 'minni' is unknown"),
        ({"data_root": "/data"}, "data_root = /data: all runs are on MiniVOC"),
    ],
)
def test_a_bad_batch_is_reported(tmp_path, values, message):
    with pytest.raises(ValueError, match=message):
        runs_of(tmp_path, **values)


@pytest.mark.parametrize("name", ["none", "none.yml", "elsewhere/none.yml"])
def test_an_unknown_file_is_refused_with_the_known_ones(name):
    with pytest.raises(ValueError, match=r"no such file; known: .*ablations.*book"):
        batch.read(batch.named(name, ROOT / "batches"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"batch": 5}, "--config: batch = 5"),
        ({"preset": 5}, "preset = 5"),
        ({"data_root": ""}, "data_root has no value"),
        ({"data_root": None}, "data_root has no value"),  # as Snakemake reads data_root=
        ({"data_root": "C:\\data"}, "data_root = .*WSL"),
        ({"threads": "abc"}, "threads = 'abc'"),
        ({"shard": 8}, "shard is unknown, did you mean shards"),
    ],
)
def test_a_bad_command_line_is_reported(config, message):
    with pytest.raises(ValueError, match=message):
        batch.command_line(config)


@pytest.mark.parametrize("path", sorted((ROOT / "batches").glob("*.yml")), ids=lambda path: path.stem)
def test_every_batch_of_the_project_can_be_expanded(path, tmp_path):
    read = batch.read(path, data_root=None if path.stem in ("ablations", "seeds", "book") else tmp_path)
    assert len(batch.expand(read, BOOK, NOTEBOOKS)) >= 1
    assert len(read.about.split()) > 10


def test_a_bad_batch_stops_before_the_first_job(tmp_path):
    path = written(tmp_path, notebooks=["04_rib"], grids={"taau": [0.1]})
    run = snakemake(tmp_path, ROOT / "Snakefile", "batch", "--config", f"batch={path}")
    assert run.returncode != 0
    assert f"error: batch {path}: 'taau' is neither a parameter" in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "results").exists()


def test_a_batch_that_lacks_something_stops_before_the_first_job(project):
    """One of the two trainings has too few images. It is said before the other one starts, and by a dry run."""
    grids = {"classifier.batch_size": [8, 1000]}
    path = written(project, preset=str(project / "preset.yml"), notebooks=["03_cam"], grids=grids)
    arguments = ("batch", "--config", f"batch={path}")
    problem = (
        r"classifier.batch_size = 1000: \d+ training images are fewer than a batch of 1000; .*set classifier.batch_size=\d"
    )
    run = snakemake(project, project / "Snakefile", *arguments)
    assert run.returncode != 0
    assert re.search(f"^error: {problem}", run.stderr, re.MULTILINE), run.stderr
    assert not list((project / "results").glob("runs/*"))
    dry = snakemake(project, project / "Snakefile", *arguments, "--dry-run")
    assert dry.returncode == 0
    assert re.search(f"these jobs could not be done: {problem}", dry.stderr)


def test_the_plan_for_slurm_counts_shared_work_once(tmp_path):
    """Two values of tau and one seed: the classifier and CAM are planned once, every RIB twice, each with its evaluation."""
    path = written(tmp_path, preset=str(TINY), notebooks=["04_rib"], settings={"seeds": 1}, grids={"tau": [0.2, 0.6]})
    run = snakemake(tmp_path, ROOT / "Snakefile", "batch", "--dry-run", "--profile", PROFILE, "--config", f"batch={path}")
    assert run.returncode == 0, run.stderr
    planned = re.findall(r"stage ([\w-]+) --preset", run.stdout + run.stderr)
    # For each tau, one process has the three learning rates on the tuning images and both readings on both sets of images.
    counts = {"data": 1, "classifier": 1, "cam": 1, "evaluate-cam": 1, "evaluate-rib": 2}
    assert {stage: planned.count(stage) for stage in set(planned)} == counts
    assert re.search(r"^chapter +2$", run.stdout + run.stderr, re.MULTILINE)


def test_a_dry_run_for_slurm_plans_for_the_cores_of_its_jobs(tmp_path):
    """The number of jobs and their requests do not depend on the cores of this machine."""
    path = written(tmp_path, preset=str(TINY), notebooks=["03_cam"], settings={"seeds": 1}, shards=2)
    run = snakemake(tmp_path, ROOT / "Snakefile", "batch", "--dry-run", "--profile", PROFILE, "--config", f"batch={path}")
    assert "on a cluster: 5 jobs of 8 cores, unknown GPU hours expected" in run.stderr


def environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "RIBSTUDY_RESULTS": str(folder / "results"),
        "RIBSTUDY_DATA": str(folder / "data"),
        "RIBSTUDY_PUBLISHED": str(folder / "published"),
        "OMP_NUM_THREADS": "1",
    }


def snakemake(folder: Path, file: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [*SNAKEMAKE, "--snakefile", str(file), *arguments]
    return subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True)


@pytest.fixture
def project(tmp_path) -> Path:
    """A Snakefile with a book of two short notebooks, one of which (costs) fails, and a preset without pretrained weights."""
    (tmp_path / "book" / "_static").mkdir(parents=True)
    shutil.copy(ROOT / "Snakefile", tmp_path)
    shutil.copytree(ROOT / "batches", tmp_path / "batches")
    shutil.copytree(ROOT / "profiles" / "default", tmp_path / "profiles" / "default")
    shutil.copytree(ROOT / "ribstudy", tmp_path / "ribstudy", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "book" / "_toc.yml").write_text("root: index\nchapters: [{file: 03_cam}, {file: costs}]\n")
    (tmp_path / "book" / "index.md").write_text("# Index\n")
    for name, code in {"03_cam": "preset", "costs": "raise SystemError('this one' + ' is broken')"}.items():
        parameters = nbformat.v4.new_code_cell(
            '# Parameters\npreset = "study"  # p\noverrides = {}  # o', metadata={"tags": ["parameters"]}
        )
        cells = [parameters, nbformat.v4.new_code_cell(code)]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(
            nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), tmp_path / "book" / f"{name}.ipynb"
        )
    preset = yaml.safe_load(TINY.read_text())
    preset["classifier"]["weights"] = None
    (tmp_path / "preset.yml").write_text(yaml.safe_dump(preset))
    return tmp_path


def records(project: Path, stage: str) -> dict[str, dict]:
    found = (project / "results" / "runs").glob(f"{stage}-*/record.json")
    return {path.parent.name: json.loads(path.read_text()) for path in found}


def test_a_batch_that_is_killed_and_has_broken_parts_does_what_can_be_done(project):
    """One of two grid points cannot be trained, one of the notebooks is broken, and the batch is killed before it ends."""
    grids = {"classifier.learning_rate": [0.02, 1e30]}
    values = {"notebooks": ["03_cam", "costs"], "settings": {"seeds": 1}, "grids": grids}
    path = written(project, preset=str(project / "preset.yml"), **values)
    command = [*SNAKEMAKE, "--keep-going", "batch", "--config", f"batch={path}"]
    first = subprocess.Popen(
        command,
        cwd=project,
        env=environment(project),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not records(project, "classifier") and first.poll() is None:
        time.sleep(0.2)
    assert first.poll() is None, "the first classifier came after the end"
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    before = records(project, "classifier")

    second = snakemake(project, project / "Snakefile", *command[len(SNAKEMAKE) :])
    assert second.returncode != 0
    assert records(project, "classifier") == before  # the finished training was not repeated, and the other one fails
    table = second.stderr[second.stderr.rindex("\nown:") :]
    states = dict(re.findall(r"^  (\S+) +(done|failed|not run)", table, re.MULTILINE))
    assert states["03_cam-classifier.learning_rate=0.02"] == "done"
    assert states["03_cam-classifier.learning_rate=1e+30"] == "not run"
    assert states["costs-classifier.learning_rate=0.02"] == states["costs-classifier.learning_rate=1e+30"] == "failed"
    (failed,) = [name for name in states if name.startswith("classifier-")]
    executed = project / "results" / "notebooks" / "own"
    assert "a smaller learning rate may help" in (executed / "logs" / f"{failed}.log").read_text()
    assert "this one is broken" in (executed / "unfinished" / "costs-classifier.learning_rate=0.02.ipynb").read_text()

    rest = snakemake(project, project / "Snakefile", *command[len(SNAKEMAKE) :], "--dry-run")
    planned = re.findall(r"(?:stage|notebook) (\S+)", rest.stdout + rest.stderr)
    assert "03_cam-classifier.learning_rate=0.02" not in planned
    assert planned.count("classifier") == 1  # no process for the finished one, nor for the data
    assert "data" not in planned
    assert {"classifier", "costs-classifier.learning_rate=0.02", "03_cam-classifier.learning_rate=1e+30"} <= set(planned)


def test_parallel_batches_share_results(project, monkeypatch):
    """Two batches need the same data. One of them is started a second time, which is an error."""
    for name, scale in (("one", 1.0), ("two", 0.5)):
        written(project, preset=str(project / "preset.yml"), notebooks=["03_cam"], grids={"cam.scales": [[scale]]})
        (project / "own.yml").rename(project / f"{name}.yml")
    monkeypatch.setattr("ribstudy.runtime.paths.DATA", project / "data")
    found = batch.read(project / "one.yml")
    groups = plan.Plan(found, batch.expand(found, project / "book", ["03_cam"])).groups.values()
    (data,) = [group.name for group in groups if group.stage.name == "data"]
    started = [
        subprocess.Popen(
            [
                *SNAKEMAKE,
                "--rerun-incomplete",
                f"{project}/results/notebooks/{name}/.done/{data}",
                "--config",
                f"batch={name}.yml",
            ],
            cwd=project,
            env=environment(project),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name in ("one", "one", "two")
    ]
    outputs = [process.communicate()[0] for process in started]
    codes = [process.returncode for process in started]
    assert (sorted(codes[:2]), codes[2]) == ([0, 1], 0), outputs
    assert "error: batch one is at work in another process" in outputs[codes.index(1)]
    (record,) = records(project, "data").values()
    assert len(record["sessions"]) == 1
