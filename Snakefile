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
import logging
import re
import shlex
import shutil
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from ribstudy.config import load_settings, preset_name
from ribstudy.datasets import title
from ribstudy.workflow import batch as batches
from ribstudy.runtime import paths
from ribstudy.runtime.limits import NEEDS_MEMORY
from ribstudy.runtime.files import digest
from ribstudy.runtime.words import counted
from ribstudy.stages.stage import only_checks
from ribstudy.workflow import slurm
from ribstudy.workflow.left import is_done, origin
from ribstudy.workflow.outcome import Failures, outcome, table
from ribstudy.workflow.plan import Plan
from ribstudy.workflow.book import notebooks
from ribstudy.workflow.jobs import FULL_RUNS
from ribstudy.workflow.preflight import problems_of_plan
from ribstudy.workflow.requests import Request, Requests
from ribstudy.workflow.stripped import stripped
from ribstudy.workflow.waves import parts, waves

ROOT = Path(workflow.basedir)
BOOK = ROOT / "book"
CHAPTERS = notebooks(BOOK)


try:
    GIVEN = batches.command_line(config)
    RESULTS, PUBLISHED = batches.without_wildcards(paths.RESULTS), paths.PUBLISHED
    BATCH_FILE = batches.named(GIVEN.batch, ROOT / "batches")
    PRESET = GIVEN.preset
    BATCH = batches.read(BATCH_FILE, preset=PRESET, data_root=GIVEN.data_root, shards=GIVEN.shards)
except ValueError as error:
    sys.exit(f"error: {error}")
SECOND = batches.read(BATCH_FILE).second_pages  # which the texts name, whether or not this batch has them
NAME = BATCH_FILE.stem + (f"-{preset_name(PRESET)}" if PRESET else "")
EXECUTED = RESULTS / "notebooks" / NAME
DONE = EXECUTED / ".done"  # own folder per batch, because Snakemake removes a file before it makes it again
LOGS = EXECUTED / "logs"
LOCK = FileLock(EXECUTED / ".lock")
START = time.time()
SLURM_LOGS = LOGS / "slurm" / f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}"
SLURM_NAME = f"ribstudy-{digest(str(EXECUTED))}"  # with which the names of this batch's jobs begin
IS_MAIN, IS_DRY = workflow.is_main_process, workflow.output_settings.dryrun


def say(text):
    print(text, file=sys.stderr, flush=True)


def take_over():
    """Waits for the jobs that a killed call has left, and removes its marks, unless a call is at work.

    The plan knows from the results themselves what is done.
    """
    if IS_DRY and (jobs := slurm.alive(SLURM_NAME)):
        say(slurm.description(jobs))
    if EXECUTED.exists() and not IS_DRY:
        with contextlib.suppress(Timeout), LOCK.acquire(timeout=0):
            slurm.wait_for(SLURM_NAME, say)
            shutil.rmtree(DONE, ignore_errors=True)


if IS_MAIN:
    take_over()
try:
    with batches.naming(BATCH_FILE):
        # A job computes what it is asked for. Only the process that asks looks for what is done.
        PLAN = Plan(BATCH, batches.expand(BATCH, BOOK, CHAPTERS), is_done=is_done if IS_MAIN else lambda job, settings: True)
except ValueError as error:
    sys.exit(f"error: {error}")

TEXTS = [path for path in BOOK.iterdir() if path.suffix in (".md", ".yml", ".bib")]
API = sorted((BOOK / "api").glob("*.md"))
STATIC = [path for path in (BOOK / "_static").rglob("*") if path.is_file()]
TOOLS = ("second_pages", "book_extension", "mathml", "symbols", "citations", "finish_site", "site_fonts")  # that render the book
LIBRARY = [path for path in (ROOT / "ribstudy").rglob("*") if path.suffix in (".py", ".yml", ".json")]
# On this machine many stages share few cores, so one thread for each wastes the least time. A job of a cluster has its own.
# Only a profile of a cluster limits the number of jobs; its dry run has one core.
ON_CLUSTER = workflow.remote_exec or workflow.resource_settings.nodes is not None
CORES = None if ON_CLUSTER else workflow.resource_settings.cores
THREADS = GIVEN.threads or (max(1, CORES // 4) if CORES else 8)
GPUS = 1 if GIVEN.gpus is None else GIVEN.gpus
REQUESTS = Requests(PLAN, threads=THREADS, on_gpu=GPUS > 0)
WAVES = waves(PLAN) if BATCH.shards > 1 else {}
PENDING_WAVES = {name: wave for name, wave in WAVES.items() if any(group in PLAN.pending for group in wave.groups)}
PARTS = parts({name: REQUESTS.work(wave.groups) for name, wave in PENDING_WAVES.items()}, BATCH.shards) if IS_MAIN else {}
WAVE_OF = {group: name for name, wave in WAVES.items() for group in wave.groups}
CHECKS = [name for name, group in PLAN.groups.items() if only_checks(group.stage)]

shell.prefix(f"set -eo pipefail; export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")


def any_of(names):
    """A pattern that matches these names; without names it matches nothing."""
    return "|".join(names) or "(?!)"


def before(wildcards):
    return [DONE / name for name in PLAN.waits(wildcards.group)]


def parts_of(wave):
    return [DONE / f"{wave}.{part}-{PARTS[wave]}" for part in range(PARTS[wave])]


def before_wave(wildcards):
    """The marks of trainings, and the parts of earlier waves, even if a group failed in one: other groups do not need it."""
    earlier = [name for name in WAVES[wildcards.wave].after if name in PLAN.pending]
    marks = [[DONE / name] if name not in WAVE_OF else parts_of(WAVE_OF[name]) for name in earlier]
    return [path for paths in marks for path in paths]


def command(wildcards):
    return PLAN.groups[wildcards.group].command


def commands(wildcards):
    """The commands of a part of a wave, one a line, each with the name of its group."""
    return "\n".join(f"work {group} {PLAN.groups[group].command}" for group in WAVES[wildcards.wave].groups)


def gpus(wildcards):
    return min(GPUS, PLAN.groups[wildcards.group].gpus)


def gpus_of_wave(wildcards):
    return min(GPUS, WAVES[wildcards.wave].gpus)


def request(wildcards):
    """The memory and the time that a job of a cluster asks for. Nobody asks on this machine."""
    if workflow.local_exec and not IS_DRY:
        return Request(mem_mb=0, minutes=0)
    if "wave" in dict(wildcards.items()):
        return REQUESTS.of_wave(WAVES[wildcards.wave], int(wildcards.parts))
    return REQUESTS.of_group(wildcards.group)


def memory(wildcards, attempt):
    return request(wildcards).mem_mb * attempt


def minutes(wildcards, attempt):
    return request(wildcards).minutes * attempt


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


def content(wildcards):
    """A digest that changes with a run's notebook, but not if an editor saves it with outputs."""
    return digest(stripped((BOOK / f"{shown(wildcards)}.ipynb").read_text()))


def full_run_records(chapter):
    folders = [folder / "records" for folder in (RESULTS, PUBLISHED)]
    return sorted(path for preset in FULL_RUNS.get(chapter, ()) for folder in folders for path in folder.glob(f"0*.{preset}.json"))


def tell():
    rows = outcome(PLAN, WAVES, FAILURES.found, done=DONE, logs=LOGS, notebooks=EXECUTED, since=START)
    say(f"\n{NAME}:\n{table(rows)}\n")


def hold():
    """Locks this batch: different batches can run at the same time, but one batch cannot run twice."""
    EXECUTED.mkdir(parents=True, exist_ok=True)
    try:
        LOCK.acquire(timeout=0)
    except Timeout:
        sys.exit(f"error: batch {NAME} is at work in another process ({LOCK.lock_file}); wait for its end")


def require():
    """Stops before the first job if something is missing that any job needs."""
    if problems := problems_of_plan(PLAN, fetch=True, memory=workflow.local_exec):
        sys.exit(f"error: {problems}")


def name_jobs():
    """Gives the jobs of this batch a name by which a later call finds them, and their logs a folder for this call alone.

    Snakemake removes empty folders below it when it ends, also those of jobs that wait and that another call submitted.
    """
    executor = workflow.scheduler._executor
    if hasattr(executor, "slurm_logdir"):
        executor.run_uuid = f"{SLURM_NAME}_{executor.run_uuid}"
        executor.slurm_logdir = workflow.executor_settings.logdir or SLURM_LOGS


def begin():
    hold()
    require()
    name_jobs()


def foretell():
    """Says how many jobs a cluster would get, how long they take, and which problems would stop the batch."""
    jobs = sum(PARTS.values()) + sum(name not in WAVE_OF and name not in CHECKS for name in PLAN.pending)
    hours = REQUESTS.gpu_hours()
    if BATCH.shards > 1:
        expected = "unknown" if hours is None else f"{hours:.3g}"
        say(f"on a cluster: {counted(jobs, 'job')} of {counted(THREADS, 'core')}, {expected} GPU hours expected")
    if problems := problems_of_plan(PLAN):
        say(f"these jobs could not be done: {problems}")


FAILURES = Failures()
if IS_MAIN:
    logging.getLogger("snakemake.logging").addHandler(FAILURES)
if IS_MAIN and IS_DRY:
    foretell()
onstart: begin()
onsuccess: tell()
onerror: tell()

localrules: check, gather, chapter, render


rule book:
    input: "_build/html/index.html"


rule batch:
    input: [EXECUTED / f"{run}.ipynb" for run in PLAN.runs]


rule results:
    input: [DONE / name for name in PLAN.pending]


# Messages of a process are shown and logged. The process may use as many cores as the job has threads.
SAYING = "2> >(tee {log:q} >&2)"
RUN = "OMP_NUM_THREADS={threads} RIBSTUDY_CORES={threads} python -m ribstudy {params.command}"


rule check:
    input: before
    output: DONE / "{group}"
    wildcard_constraints: group=any_of(CHECKS)
    log: LOGS / "{group}.log"
    params: command=command
    threads: 1
    priority: 1
    message: "stage {params.command}"
    shell: RUN + " > {output:q} " + SAYING


rule stage:
    input: before
    output: DONE / "{group}"
    wildcard_constraints: group=any_of(name for name in PLAN.groups if name not in WAVE_OF and name not in CHECKS)
    log: LOGS / "{group}.log"
    params: command=command
    threads: THREADS
    resources: gpu=gpus, mem_mb=memory, runtime=minutes
    priority: 1
    message: "stage {params.command}"
    shell: RUN + " > {output:q} " + SAYING


# A group that fails is written into the mark, and the others continue. A killed command ends the job, which is tried again with
# more memory. So is a job in which a group reports that memory ran out, when its other groups are done.
WORK = """
: > {output:q}
mkdir -p {params.logs:q}
needs_memory=0
work() {{
  local group=$1 code=0
  shift
  OMP_NUM_THREADS={threads} RIBSTUDY_CORES={threads} python -m ribstudy "$@" --shard {wildcards.part}/{wildcards.parts} \\
    2> >(tee {params.logs:q}/"$group.{wildcards.part}-{wildcards.parts}.log" >&2) || code=$?
  [ "$code" -le 128 ] || exit "$code"
  if [ "$code" -eq {params.memory_code} ] && [ {resources.attempt} -eq 1 ]; then needs_memory=$code; return; fi
  [ "$code" -eq 0 ] || echo "$group" >> {output:q}
}}
{params.commands}
exit $needs_memory
"""


rule wave:
    input: before_wave
    output: DONE / "{wave}.{part}-{parts}"
    wildcard_constraints: wave=any_of(WAVES), part=r"\d+", parts=r"\d+"
    params: commands=commands, logs=str(LOGS), memory_code=NEEDS_MEMORY
    threads: THREADS
    resources: gpu=gpus_of_wave, mem_mb=memory, runtime=minutes, attempt=lambda wildcards, attempt: attempt
    priority: 1
    message: "part {wildcards.part} of {wildcards.parts} of\n{params.commands}"
    shell: WORK


rule gather:
    input: lambda wildcards: parts_of(WAVE_OF[wildcards.group])
    output: DONE / "{group}"
    wildcard_constraints: group=any_of(WAVE_OF)
    threads: 1
    priority: 1
    message: "all parts of {wildcards.group}"
    shell: "! grep -qx {wildcards.group} {input:q} && touch {output:q}"


rule chapter:
    input:
        notebook=lambda wildcards: ancient(BOOK / f"{shown(wildcards)}.ipynb"),
        library=LIBRARY,
        results=results,
        others=lambda wildcards: [EXECUTED / f"{run}.ipynb" for run in PLAN.before(wildcards.run)],
        benches=lambda wildcards: sorted((RESULTS / "bench").glob("*.json")) if shown(wildcards) in ("costs", *FULL_RUNS) else [],
        # Records of a full run, if there was one. The book shows them under other presets too.
        records=lambda wildcards: full_run_records(shown(wildcards)),
    output: EXECUTED / "{run}.ipynb"
    wildcard_constraints: run=any_of(map(re.escape, PLAN.runs))
    params: given=parameters, origins=origins, content=content, unfinished=str(EXECUTED / "unfinished" / "{run}.ipynb"), folder=str(EXECUTED / "unfinished")
    threads: 1
    message: "notebook {wildcards.run}"
    # A notebook that fails stays in `unfinished`, with its error.
    shell:
        "mkdir -p {params.folder:q} && cp {input.notebook:q} {params.unfinished:q} "
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
