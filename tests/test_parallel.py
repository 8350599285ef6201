import subprocess
import sys

import pytest

from ribstudy.parallel import run_tasks

STARTS_A_WORKER = """
import os, time
from ribstudy.parallel import worker_pool
with worker_pool(1) as pool:
    print(pool.submit(os.getpid).result(), flush=True)
    time.sleep(60)
"""


def test_workers_end_with_a_parent_that_is_killed():
    with subprocess.Popen([sys.executable, "-c", STARTS_A_WORKER], stdout=subprocess.PIPE) as parent:
        assert int(parent.stdout.readline()) != parent.pid
        parent.kill()
        parent.communicate(timeout=20)  # the pipe is closed when the last process that holds it has ended


@pytest.mark.parametrize("processes", [1, 2])
def test_outcomes_come_in_the_order_of_the_tasks(processes):
    assert list(run_tasks(abs, [-3, 1, -2], processes=processes)) == [3, 1, 2]
    assert list(run_tasks(abs, [], processes=processes)) == []


def test_what_a_task_raises_passes_through():
    with pytest.raises(ValueError, match="'x'"):
        list(run_tasks(int, ["1", "x", "2"], processes=2))
