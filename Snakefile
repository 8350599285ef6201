"""The graph of a batch: results of stages, notebooks that show them, the book. `make book` runs batches/book.yml.

    make batch BATCH=ablations                                 run every notebook of a batch
    snakemake --cores all batch --config batch=ablations -n    list and count the jobs without running them
    snakemake --cores all book --config preset=my.yml                      show only this preset, by name or by the path of a .yml file
    snakemake --cores 16 book --config preset=voc12 data_root=/data/VOC2012 threads=8     set the threads of a stage (default: cores / 4)
    snakemake --profile profiles/slurm batch --config batch=voc12 data_root=/data/VOC2012 shards=32

No process is started for results that are finished, here or published. profiles/default has the options of every call.
"""

import contextlib
import json
import re
import shlex
import shutil
import sys
import time
from pathlib import Path

from filelock import FileLock, Timeout

from ribstudy.config import load_settings, preset_name
from ribstudy.datasets import title
from ribstudy.workflow import batch as batches
from ribstudy.runtime import paths
from ribstudy.runtime.files import digest
from ribstudy.workflow.left import is_done, origin
from ribstudy.workflow.outcome import outcome, table
from ribstudy.workflow.plan import Plan
from ribstudy.workflow.book import notebooks
from ribstudy.workflow.jobs import FULL_RUNS
from ribstudy.workflow.preflight import problems_of_plan

ROOT = Path(workflow.basedir)
BOOK = ROOT / "book"
CHAPTERS = notebooks(BOOK)


try:
    GIVEN = batches.command_line(config)
    RESULTS, PUBLISHED = batches.without_wildcards(paths.RESULTS), paths.PUBLISHED
    BATCH_FILE = batches.named(GIVEN.batch, ROOT / "batches")
    PRESET = GIVEN.preset
    BATCH = batches.read(BATCH_FILE, preset=PRESET, data_root=GIVEN.data_root, shards=GIVEN.shards)
    with batches.naming(BATCH_FILE):
        PLAN = Plan(BATCH, batches.expand(BATCH, BOOK, CHAPTERS), is_done=is_done)
except ValueError as error:
    sys.exit(f"error: {error}")
SECOND = batches.read(BATCH_FILE).second_pages  # which the texts name, whether or not this batch has them
NAME = BATCH_FILE.stem + (f"-{preset_name(PRESET)}" if PRESET else "")
EXECUTED = RESULTS / "notebooks" / NAME
DONE = EXECUTED / ".done"  # own folder per batch, because Snakemake removes a file before it makes it again
LOGS = EXECUTED / "logs"
LOCK = FileLock(EXECUTED / ".lock")
START = time.time()

TEXTS = [path for path in BOOK.iterdir() if path.suffix in (".md", ".yml", ".bib")]
API = sorted((BOOK / "api").glob("*.md"))
STATIC = [path for path in (BOOK / "_static").rglob("*") if path.is_file()]
TOOLS = ("second_pages", "book_extension", "mathml", "citations", "finish_site", "site_fonts")  # that render the book
LIBRARY = [path for path in (ROOT / "ribstudy").rglob("*") if path.suffix in (".py", ".yml", ".json")]
# Many stages share few cores, so one thread for each stage wastes the least time.
THREADS = GIVEN.threads or max(1, (workflow.cores or 1) // 4)
SCATTERED = [name for name, group in PLAN.groups.items() if group.scattered and BATCH.shards > 1]

shell.prefix(f"set -eo pipefail; export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")


def any_of(names):
    """A pattern that matches these names; without names it matches nothing."""
    return "|".join(names) or "(?!)"


def before(wildcards):
    return [DONE / name for name in PLAN.waits(wildcards.group)]


def command(wildcards):
    return PLAN.groups[wildcards.group].command


def gpus(wildcards):
    return PLAN.groups[wildcards.group].gpus


def shown(wildcards):
    """The name of a run's notebook."""
    return PLAN.runs[wildcards.run].notebook


def results(wildcards):
    return [DONE / name for name in PLAN.missing(wildcards.run)]


def origins(wildcards):
    """A digest that changes if a run's notebook has other results to show."""
    return digest([origin(job, PLAN.settings_of(job)) for job in PLAN.shown[wildcards.run]])


def parameters(wildcards):
    """The parameters that papermill passes to a notebook, as YAML."""
    return json.dumps(PLAN.runs[wildcards.run].parameters, ensure_ascii=False)


def full_run_records(preset):
    return sorted(path for folder in (RESULTS, PUBLISHED) for path in (folder / "records").glob(f"0*.{preset}.json")) if preset else []


def tell():
    rows = outcome(PLAN, done=DONE, logs=LOGS, notebooks=EXECUTED, since=START)
    print(f"\n{NAME}:\n{table(rows)}\n", file=sys.stderr)


def hold():
    """Locks this batch: different batches can run at the same time, but one batch cannot run twice."""
    EXECUTED.mkdir(parents=True, exist_ok=True)
    try:
        LOCK.acquire(timeout=0)
    except Timeout:
        sys.exit(f"error: batch {NAME} is at work in another process ({LOCK.lock_file}); wait for its end")


def forget():
    """Removes the marks of earlier calls, unless one is at work. The plan knows from the results themselves what is done."""
    if workflow.is_main_process and DONE.exists():
        with contextlib.suppress(Timeout), LOCK.acquire(timeout=0):
            shutil.rmtree(DONE)


def require():
    """Stops before the first job if something is missing that any job needs."""
    if problems := problems_of_plan(PLAN, fetch=True, memory=workflow.local_exec):
        sys.exit(f"error: {problems}")


def begin():
    hold()
    require()


forget()
if workflow.is_main_process and workflow.output_settings.dryrun and (found := problems_of_plan(PLAN)):
    print(f"these jobs could not be done: {found}", file=sys.stderr)
onstart: begin()
onsuccess: tell()
onerror: tell()


rule book:
    input: "_build/html/index.html"


rule batch:
    input: [EXECUTED / f"{run}.ipynb" for run in PLAN.runs]


rule results:
    input: [DONE / name for name in PLAN.pending]


# Messages of a process are shown and logged. The process may use as many cores as the job has threads.
SAYING = "2> >(tee {log:q} >&2)"
RUN = "OMP_NUM_THREADS={threads} RIBSTUDY_CORES={threads} python -m ribstudy {params.command}"


rule stage:
    input: before
    output: DONE / "{group}"
    wildcard_constraints: group=any_of(name for name in PLAN.groups if name not in SCATTERED)
    log: LOGS / "{group}.log"
    params: command=command
    threads: THREADS
    resources: gpu=gpus
    priority: 1
    message: "stage {params.command}"
    shell: RUN + " > {output:q} " + SAYING


rule shard:
    input: before
    output: DONE / "{group}.{part}-{parts}"
    wildcard_constraints: group=any_of(SCATTERED), part=r"\d+", parts=r"\d+"
    log: LOGS / "{group}.{part}-{parts}.log"
    params: command=command
    threads: THREADS
    resources: gpu=gpus
    priority: 1
    message: "stage {params.command} --shard {wildcards.part}/{wildcards.parts}"
    shell: RUN + " --shard {wildcards.part}/{wildcards.parts} > {output:q} " + SAYING


rule gather:
    input: lambda wildcards: [DONE / f"{wildcards.group}.{part}-{BATCH.shards}" for part in range(BATCH.shards)]
    output: DONE / "{group}"
    wildcard_constraints: group=any_of(SCATTERED)
    log: LOGS / "{group}.log"
    params: command=command
    threads: 1
    priority: 1
    message: "all shards of {params.command}"
    shell: RUN + " > {output:q} " + SAYING  # all images are done, so the command reports this and ends


rule chapter:
    input:
        notebook=lambda wildcards: BOOK / f"{shown(wildcards)}.ipynb",
        library=LIBRARY,
        results=results,
        others=lambda wildcards: [EXECUTED / f"{run}.ipynb" for run in PLAN.before(wildcards.run)],
        benches=lambda wildcards: sorted((RESULTS / "bench").glob("*.json")) if shown(wildcards) in ("costs", *FULL_RUNS) else [],
        # Records of a full run, if there was one. The book shows them under other presets too.
        records=lambda wildcards: full_run_records(FULL_RUNS.get(shown(wildcards))),
    output: EXECUTED / "{run}.ipynb"
    wildcard_constraints: run=any_of(map(re.escape, PLAN.runs))
    params: given=parameters, origins=origins, unfinished=str(EXECUTED / "unfinished" / "{run}.ipynb")
    threads: 1
    message: "notebook {wildcards.run}"
    # A notebook that fails stays in `unfinished`, with its error.
    shell:
        "mkdir -p \"$(dirname {params.unfinished:q})\" && cp {input.notebook:q} {params.unfinished:q} "
        "&& OMP_NUM_THREADS={threads} papermill "
        "--kernel python3 --no-progress-bar --log-level WARNING {input.notebook:q} {params.unfinished:q} -y {params.given:q} "
        "&& mv {params.unfinished:q} {output:q}"


rule render:
    input:
        chapters=[EXECUTED / f"{page}.ipynb" for page in dict.fromkeys([*CHAPTERS, *PLAN.runs])],
        texts=TEXTS,
        static=STATIC,
        api=API,
        library=LIBRARY,
        config=ROOT / "_config.yml",
        tools=[ROOT / "tools" / f"{name}.py" for name in TOOLS],
    output: "_build/html/index.html"
    params:
        root=ROOT,
        folders=[BOOK / "_static", BOOK / "api"],
        names=sorted(path.name for path in [*TEXTS, *API, *STATIC]),
        second=json.dumps(SECOND),
        words=f"on {title(load_settings(BATCH.preset).data)}",
        presets=json.dumps(BATCH.presets, ensure_ascii=False),
    message: "render {output}"
    # Builds from scratch, because Sphinx repeats the warnings of a page only when it reads the page again.
    shell:
        "rm -rf _build/src _build/html _build/.doctrees && mkdir _build/src "
        "&& cp -R {input.texts:q} {input.chapters:q} {params.folders:q} _build/src "
        "&& python {input.tools[0]:q} _build/src {params.second:q} {params.words:q} "
        "&& RIBSTUDY_PRESETS={params.presets:q} jupyter-book build _build/src --config {input.config:q} --path-output . -W -n --keep-going -q "
        "&& PYTHONPATH={params.root:q} python -m tools.finish_site _build/html"
