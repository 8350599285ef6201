"""The reasons and requests of failed jobs of a cluster, in the words of the table at the end of a batch."""

import os

import pytest

from ribstudy.workflow import slurm

FAILED = "SLURM-job '7' failed, SLURM status is: '{}'. Detailed failure reason unavailable (status command is not 'sacct')."


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("OUT_OF_MEMORY", "out of memory"),
        ("TIMEOUT", "time limit"),
        ("CANCELLED", "cancelled"),
        ("NODE_FAIL", "its node failed"),
    ],
)
def test_a_state_tells_the_reason(state, expected):
    assert slurm.reason(FAILED.format(state), None) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=7.0.", "out of memory"),
        ("slurmstepd: error: *** STEP 7.0 ON n1 CANCELLED AT 2026-11-30T09:00:00 DUE TO TIME LIMIT ***", "time limit"),
        ("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-30T09:00:00 ***", "cancelled"),
        ("srun: error: Unable to create step for job 7: Requested node configuration is not available", "srun failed"),
        ("error: there is no such image", ""),
    ],
)
def test_the_log_tells_what_the_state_does_not(tmp_path, text, expected):
    log = tmp_path / "7.log"
    log.write_text(text)
    assert slurm.reason(FAILED.format("FAILED"), log) == expected


def test_a_refusal_is_quoted():
    message = (
        "SLURM sbatch failed. The error message was 'sbatch: error: Memory specification can not be satisfied\n"
        "sbatch: error: Batch job submission failed: Requested node configuration is not available'.\n    sbatch call:\n"
    )
    assert slurm.reason(message, None) == (
        "refused by the scheduler: Memory specification can not be satisfied "
        "Batch job submission failed: Requested node configuration is not available"
    )


def test_a_failure_without_a_message_of_slurm_has_no_reason(tmp_path):
    assert slurm.reason("", tmp_path / "none.log") == ""


def test_the_request_in_words():
    assert slurm.request({"mem_mb": 16000, "runtime": 60, "gpu": 1}, 8) == "8 cores, 16000 MB of memory, 60 minutes, 1 GPU"
    assert slurm.request({"mem_mb": 2000, "gpu": 0}, 1) == "1 core, 2000 MB of memory"


def test_jobs_that_are_alive_are_listed_with_a_way_to_end_them(monkeypatch, tmp_path):
    squeue = tmp_path / "squeue"
    squeue.write_text("#!/bin/sh\necho '11|RUNNING|ribstudy-a_1|rule_wave'\necho '12|PENDING|other|rule_wave'\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    jobs = slurm.alive("ribstudy-a")
    assert jobs == [slurm.AliveJob("11", "RUNNING", "rule_wave")]
    assert "scancel 11\n  11  running  rule_wave" in slurm.description(jobs)
