"""A batch as a graph: the results of the stages, the notebooks that show them, the book. `make book` runs batches/mini.yml.

    snakemake --cores all batch --config batch=batches/ablations.yml       every notebook of a batch: make batch BATCH=ablations
    snakemake --cores all batch --config batch=batches/ablations.yml -n    what there is to do, with counts
    snakemake --cores all book --config preset=my.yml                      another preset, by name or by a .yml file's path
    snakemake --cores 16 book --config preset=voc12 data_root=/data/VOC2012 threads=8     threads of a stage (default: cores / 4)
    snakemake --profile profiles/slurm batch --config batch=batches/voc12.yml data_root=/data/VOC2012 shards=32
"""

import json
import shlex
import sys
from pathlib import Path

import yaml

from ribstudy import batch as batches
from ribstudy import study
from ribstudy.config import digest, load_settings
from ribstudy.paths import RESULTS
from ribstudy.stages import STAGES, work_key

ROOT = Path(workflow.basedir)
BOOK = ROOT / "book"
TOC = yaml.safe_load((BOOK / "_toc.yml").read_text())
PAGES = [TOC["root"], *(page["file"] for page in TOC["chapters"])]
CHAPTERS = [page for page in PAGES if not (BOOK / f"{page}.md").exists()]


def absolute(path):
    return str(Path(path).resolve())


FILE = Path(config.get("batch", ROOT / "batches" / "mini.yml"))
PRESET = config.get("preset")
if PRESET and PRESET.endswith((".yml", ".yaml")):
    PRESET = absolute(PRESET)
DATA_ROOT = absolute(config["data_root"]) if "data_root" in config else None
try:
    BATCH = batches.read(FILE, preset=PRESET, data_root=DATA_ROOT, shards=config.get("shards"))
    RUNS = {run.name: run for run in batches.expand(BATCH, BOOK, CHAPTERS)}
except ValueError as error:
    sys.exit(f"error: {error}")
NAME = FILE.stem + (f"-{Path(PRESET).stem}" if PRESET else "")
EXECUTED = f"{RESULTS}/notebooks/{NAME}"
DONE = f"{EXECUTED}/.done"  # of this batch alone, since Snakemake removes what it makes anew
LOGS = f"{EXECUTED}/logs"

TEXTS = [path for path in BOOK.iterdir() if path.suffix in (".md", ".yml", ".bib")]
STATIC = [path for path in (BOOK / "_static").rglob("*") if path.is_file()]
LIBRARY = [path for path in (ROOT / "ribstudy").rglob("*") if path.suffix in (".py", ".yml")]
# A stage knows by the key of its result whether there is work to do: it is asked again only where a key may have changed.
KEYS = [ROOT / "ribstudy" / "config.py"]
KEYS += [file for part in ("stages", "datasets") for file in sorted((ROOT / "ribstudy" / part).glob("*.py"))]
# There are many stages to share few cores: one thread for each of them is the least waste.
THREADS = config.get("threads", max(1, (workflow.cores or 1) // 4))
ON_CPU = ("toy", "data", *(name for name, stage in STAGES.items() if stage.on_cpu))

shell.prefix(f"set -eo pipefail; export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")


def settings_of(overrides):
    return load_settings(BATCH.preset, {**overrides, **({"data.root": str(BATCH.data_root)} if BATCH.data_root else {})})


def stamp(job):
    """The file that says that a job is done; jobs that compute the same, of whatever runs, share it."""
    keys = [work_key(job.stage, settings_of(overrides)) for overrides in job.results()]
    return f"{DONE}/{job.stage}-{keys[0] if len(keys) == 1 else digest(keys)}"


def jobs_of(run):
    """The jobs that a run's notebook shows, with the run's settings in each, and all that they come after."""
    settings = settings_of(run.overrides)
    shown = study.chapters(settings).get(run.notebook)
    return [job.under(run.overrides) for job in (study.all_jobs(settings) if shown is None else shown)]


JOBS = {}  # by the name of their stamp, so that none is there twice


def stamps(jobs):
    return [add(job) for job in jobs]


def add(job):
    path = stamp(job)
    if Path(path).name not in JOBS:
        JOBS[Path(path).name] = job
        stamps(job.after)
    return path


JOBS_OF = {name: stamps(jobs_of(run)) for name, run in RUNS.items()}


def shards(wildcards):
    """The stamps of a job's shards; none where it runs in one piece."""
    scattered = BATCH.shards > 1 and JOBS[wildcards.job].stage not in (*study.WHOLE_STAGES, "toy")
    return [f"{DONE}/{wildcards.job}.{part}-{BATCH.shards}" for part in range(BATCH.shards)] if scattered else []


def command(wildcards):
    job = JOBS[wildcards.job]
    options = [f"--set {shlex.quote(f'{name}={json.dumps(value)}')}" for name, value in job.overrides.items()]
    options += [f"--each {shlex.quote(json.dumps(others))}" for others in job.each if others]
    root = [f"--data-root {shlex.quote(str(BATCH.data_root))}"] if BATCH.data_root else []
    return " ".join([job.stage, f"--preset {shlex.quote(BATCH.preset)}", *root, *options])


def processes(wildcards, threads):
    return "" if JOBS[wildcards.job].stage in study.WHOLE_STAGES else f"--processes {threads}"


def gpus(wildcards):
    return 0 if JOBS[wildcards.job].stage in ON_CPU else 1


def parameters(wildcards):
    """What papermill passes to a notebook, as YAML."""
    return shlex.quote(json.dumps(RUNS[wildcards.run].parameters))


def tell():
    """What became of each run, and which stages failed."""
    broken = [job for job in JOBS if Path(LOGS, f"{job}.log").exists() and not Path(DONE, job).exists()]
    rows = [(job, "failed", f"{LOGS}/{job}.log") for job in broken]
    for name in RUNS:
        done, unfinished = Path(EXECUTED, f"{name}.ipynb"), Path(EXECUTED, "unfinished", f"{name}.ipynb")
        state = "failed" if unfinished.exists() else "done" if done.exists() else "not run"
        rows.append((name, state, str({"failed": unfinished, "done": done}.get(state, ""))))
    print(f"\n{NAME}:\n{batches.table(rows)}\n", file=sys.stderr)


onsuccess: tell()
onerror: tell()


rule book:
    input: "_build/html/index.html"


rule batch:
    input: expand(EXECUTED + "/{run}.ipynb", run=RUNS)


rule results:
    input: [path for paths in JOBS_OF.values() for path in paths]


rule stage:
    input: KEYS, lambda wildcards: stamps(JOBS[wildcards.job].after), shards
    output: f"{DONE}/{{job}}"
    wildcard_constraints: job=r"\w+-\w+"
    log: LOGS + "/{job}.log"
    params: command=command, processes=processes
    threads: THREADS
    resources: gpu=gpus
    priority: 1
    message: "stage {params.command}"
    shell:
        "OMP_NUM_THREADS={threads} python -m ribstudy {params.command} {params.processes} > {output} 2> >(tee {log} >&2)"


rule shard:
    input: KEYS, lambda wildcards: stamps(JOBS[wildcards.job].after)
    output: f"{DONE}/{{job}}.{{part}}-{{parts}}"
    wildcard_constraints: job=r"\w+-\w+", part=r"\d+", parts=r"\d+"
    params: command=command
    threads: THREADS
    resources: gpu=gpus
    priority: 1
    message: "stage {params.command} --shard {wildcards.part}/{wildcards.parts}"
    shell:
        "OMP_NUM_THREADS={threads} python -m ribstudy {params.command} --shard {wildcards.part}/{wildcards.parts} > {output}"


rule chapter:
    input:
        notebook=lambda wildcards: BOOK / f"{RUNS[wildcards.run].notebook}.ipynb",
        library=LIBRARY,
        results=lambda wildcards: JOBS_OF[wildcards.run],
        benches=lambda wildcards: sorted((RESULTS / "bench").glob("*.json")) if wildcards.run == "costs" else [],
    output: EXECUTED + "/{run}.ipynb"
    wildcard_constraints: run=r"[^/]+"
    params: given=parameters, unfinished=EXECUTED + "/unfinished/{run}.ipynb"
    threads: 1
    message: "notebook {wildcards.run}"
    # One that fails stays among the unfinished ones, with its error in it.
    shell:
        "mkdir -p $(dirname {params.unfinished:q}) && touch {params.unfinished:q} && OMP_NUM_THREADS={threads} papermill --kernel python3 "
        "--no-progress-bar --log-level WARNING {input.notebook:q} {params.unfinished:q} -y {params.given} && mv {params.unfinished:q} {output:q}"


rule render:
    input:
        chapters=expand(EXECUTED + "/{chapter}.ipynb", chapter=CHAPTERS),
        texts=TEXTS,
        static=STATIC,
        config=ROOT / "_config.yml",
    output: "_build/html/index.html"
    params: static=BOOK / "_static"
    message: "render {output}"
    # From scratch, since a page that is not read again does not repeat its warnings.
    shell:
        "rm -rf _build/src _build/html _build/.doctrees && mkdir _build/src "
        "&& cp -R {input.texts:q} {input.chapters:q} {params.static:q} _build/src "
        "&& jupyter-book build _build/src --config {input.config:q} --path-output . -W -n --keep-going -q"
