"""The batch as a graph: the results of the stages, the chapters that show them, the book. `make book` runs all of it here.

    snakemake --cores all book --config preset=my.yml       another preset, by name or by the path of a .yml file
    snakemake --cores 16 book --config preset=voc12 data_root=/data/VOC2012
    snakemake --cores 16 book --config threads=8            threads of one stage (default: a quarter of the cores)
    snakemake --jobs 8 results --executor slurm --config preset=voc12 data_root=/data/VOC2012 shards=8     images in 8 jobs
    snakemake --cores all results --dry-run                 what of the stages there is to do
"""

import json
import shlex
import sys
from pathlib import Path

import yaml

from ribstudy import study
from ribstudy.config import digest, load_settings
from ribstudy.paths import RESULTS

ROOT = Path(workflow.basedir)
BOOK = ROOT / "book"
PRESET = config.get("preset", "mini")
if PRESET.endswith((".yml", ".yaml")):
    PRESET = str(Path(PRESET).resolve())
DATA_ROOT = str(Path(config["data_root"]).resolve()) if "data_root" in config else None


def settings_of(overrides):
    return load_settings(PRESET, {**({"data.root": DATA_ROOT} if DATA_ROOT else {}), **overrides})


CHAPTER_JOBS = study.chapters(settings_of({}))
ALL_JOBS = study.all_jobs(settings_of({}))
# There are many stages to share few cores: one thread for each of them is the least waste.
THREADS = config.get("threads", max(1, (workflow.cores or 1) // 4))
SHARDS = int(config.get("shards", 1))  # jobs that the images of a stage are spread over
EXECUTED = f"_build/executed/{Path(PRESET).stem}"

TOC = yaml.safe_load((BOOK / "_toc.yml").read_text())
PAGES = [TOC["root"], *(page["file"] for page in TOC["chapters"])]
CHAPTERS = [page for page in PAGES if not (BOOK / f"{page}.md").exists()]
TEXTS = [path for path in BOOK.iterdir() if path.suffix in (".md", ".yml", ".bib")]
STATIC = [path for path in (BOOK / "_static").rglob("*") if path.is_file()]
LIBRARY = [path for path in (ROOT / "ribstudy").rglob("*") if path.suffix in (".py", ".yml")]
# A stage knows by the key of its result whether there is work to do: it is asked again only where a key may have changed.
KEYS = [ROOT / "ribstudy" / "config.py"] + [f for part in ("stages", "datasets") for f in sorted((ROOT / "ribstudy" / part).glob("*.py"))]

shell.prefix(f"set -eo pipefail; export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")


def stamp(job):
    """The file that says that a job is done; jobs with equal settings share it."""
    return f"{RESULTS}/.done/{job.stage}-{digest(settings_of(job.overrides).model_dump(mode='json'))}"


def stamps(jobs):
    return [stamp(job) for job in jobs]


JOBS = {Path(stamp(job)).name: job for job in ALL_JOBS}


def shards(wildcards):
    """The stamps of a job's shards; none where it runs in one piece."""
    scattered = SHARDS > 1 and JOBS[wildcards.job].stage not in (*study.WHOLE_STAGES, "toy")
    return [f"{RESULTS}/.done/{wildcards.job}.{part}-{SHARDS}" for part in range(SHARDS)] if scattered else []


def command(wildcards):
    job = JOBS[wildcards.job]
    options = [f"--set {shlex.quote(f'{name}={json.dumps(value)}')}" for name, value in job.overrides.items()]
    root = [f"--data-root {shlex.quote(DATA_ROOT)}"] if DATA_ROOT else []
    return " ".join([job.stage, f"--preset {shlex.quote(PRESET)}", *root, *options])


def processes(wildcards, threads):
    return "" if JOBS[wildcards.job].stage in study.WHOLE_STAGES else f"--processes {threads}"


def parameters(wildcards):
    """What papermill passes to a chapter: the one on the toy has no data_root, and the page on own data a preset of its own."""
    text = (BOOK / f"{wildcards.chapter}.ipynb").read_text()
    preset = f"-p preset {shlex.quote(PRESET)} " if r'"preset = \"mini\"' in text else ""
    return preset + (f"-p data_root {shlex.quote(DATA_ROOT)}" if preset and DATA_ROOT and '"data_root = ' in text else "")


rule book:
    input: "_build/html/index.html"


rule results:
    input: stamps(ALL_JOBS)


rule stage:
    input: KEYS, lambda wildcards: stamps(JOBS[wildcards.job].after), shards
    output: f"{RESULTS}/.done/{{job}}"
    wildcard_constraints: job=r"\w+-\w+"
    params: command=command, processes=processes
    threads: THREADS
    priority: 1
    message: "stage {params.command}"
    shell: "OMP_NUM_THREADS={threads} python -m ribstudy {params.command} {params.processes} > {output}"


rule shard:
    input: KEYS, lambda wildcards: stamps(JOBS[wildcards.job].after)
    output: f"{RESULTS}/.done/{{job}}.{{part}}-{{parts}}"
    wildcard_constraints: job=r"\w+-\w+", part=r"\d+", parts=r"\d+"
    params: command=command
    threads: THREADS
    priority: 1
    message: "stage {params.command} --shard {wildcards.part}/{wildcards.parts}"
    shell:
        "OMP_NUM_THREADS={threads} python -m ribstudy {params.command} --shard {wildcards.part}/{wildcards.parts} > {output}"


rule chapter:
    input:
        notebook=BOOK / "{chapter}.ipynb",
        library=LIBRARY,
        results=lambda wildcards: stamps(CHAPTER_JOBS.get(wildcards.chapter, ALL_JOBS)),
        benches=lambda wildcards: sorted((RESULTS / "bench").glob("*.json")) if wildcards.chapter == "costs" else [],
    output: f"{EXECUTED}/{{chapter}}.ipynb"
    params: given=parameters, unfinished="_build/unfinished/{chapter}.ipynb"
    threads: 1
    message: "chapter {wildcards.chapter}"
    # A chapter that fails stays among the unfinished ones, with its error in it.
    shell:
        "mkdir -p _build/unfinished && OMP_NUM_THREADS={threads} papermill --kernel python3 --no-progress-bar --log-level WARNING "
        "{input.notebook:q} {params.unfinished} {params.given} && mv {params.unfinished} {output}"


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
