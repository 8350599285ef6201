"""The check of everything that a plan or some jobs require, before the first of them starts."""

from collections.abc import Iterable

from ribstudy.stages.preflight import Finding, Work, findings, message, room, unfinished
from ribstudy.stages.stage import Run, only_checks
from ribstudy.store import Store
from ribstudy.workflow.job import Job
from ribstudy.workflow.left import is_done
from ribstudy.workflow.plan import Plan


def findings_of_plan(plan: Plan, *, store: Store | None = None, fetch: bool = False, memory: bool = True) -> list[Finding]:
    """The requirements of the pending jobs of a plan.

    Args:
        plan: the plan.
        store: the results; None: the project's.
        fetch: whether to download missing files.
        memory: whether the jobs run on this machine, so that its memory counts.
    """
    store = store or Store()
    jobs = [job for pending in plan.pending.values() for job in pending if not only_checks(job.stage)]
    work = [(job.stage, Run(plan.settings_of(job), images=job.images, store=store)) for job in jobs]
    found = [*findings(work, fetch=fetch), *room(work)] if work else []
    return [finding for finding in found if memory or finding.requirement.kind != "memory"]


def problems_of_plan(plan: Plan, *, fetch: bool = False, memory: bool = True) -> str:
    """The missing requirements of the pending jobs of a plan, as the text of an error; "" if nothing is missing."""
    return message(findings_of_plan(plan, fetch=fetch, memory=memory))


def unfinished_work(jobs: Iterable[tuple[Job, Run]]) -> list[Work]:
    """The stages that have to be computed for some jobs, and the stages that these need."""
    pending = [(job, run) for job, run in jobs if not is_done(job, run.settings, store=run.store)]
    return [work for job, run in pending for work in unfinished(job.stage, run)]
