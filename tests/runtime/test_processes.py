import subprocess
import sys

import pytest

from ribstudy.runtime.processes import run_tasks

STARTS_A_WORKER = """
import os, time
from ribstudy.runtime.processes import worker_pool
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


def test_a_script_without_a_guard_is_told_so_and_does_not_wait_for_itself(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from ribstudy.config import load_settings\n"
        "from ribstudy.stages import Run, execute\n"
        "from ribstudy.store import Store\n"
        "small = {'num_train': 1, 'num_train_aug': 40, 'num_val': 40, 'image_size': 64, 'seed': 0}\n"
        f"settings = load_settings('mini', {{'data.minivoc': small, 'data.root': {str(tmp_path / 'data')!r}}})\n"
        f"execute('toy', Run(settings, Store({str(tmp_path / 'results')!r}), 'cpu'), processes=2)\n"
    )
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=100)
    assert run.returncode != 0
    assert 'under `if __name__ == "__main__":`' in run.stderr
