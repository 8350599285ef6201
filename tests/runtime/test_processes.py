"""Worker processes: the order of outcomes, exceptions, and how workers end."""

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import ribstudy
from ribstudy.runtime.limits import OutOfMemory
from ribstudy.runtime.processes import map_in_processes

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
        parent.communicate()  # the pipe closes when the last process that has it open ends


def _torch_threads(module: str) -> tuple[bool, int]:
    """Whether this process has imported torch, and the number of its threads, after the import of a module."""
    importlib.import_module(module)
    torch = sys.modules.get("torch")
    return torch is not None, torch.get_num_threads() if torch else 0


def test_a_worker_imports_torch_when_its_work_does_and_gives_it_one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert list(map_in_processes(_torch_threads, ["json", "torch"], processes=2)) == [(False, 0), (True, 1)]


@pytest.mark.parametrize("processes", [1, 2])
def test_outcomes_come_in_the_order_of_the_items(processes):
    assert list(map_in_processes(abs, [-3, 1, -2], processes=processes)) == [3, 1, 2]
    assert list(map_in_processes(abs, [], processes=processes)) == []


def test_an_exception_of_the_work_is_raised_in_the_caller():
    with pytest.raises(ValueError, match="'x'"):
        list(map_in_processes(int, ["1", "x", "2"], processes=2))


def test_a_script_without_a_guard_ends_with_an_error_instead_of_waiting_for_itself(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from ribstudy.config import load_settings\n"
        "from ribstudy.stages import Run, execute\n"
        "from ribstudy.stages.toy import TOY\n"
        "from ribstudy.store import Store\n"
        "small = {'num_train': 1, 'num_train_aug': 40, 'num_val': 40, 'image_size': 64, 'seed': 0}\n"
        f"settings = load_settings('mini', {{'data.minivoc': small, 'data.root': {str(tmp_path / 'data')!r}}})\n"
        f"execute(TOY, Run(settings, store=Store({str(tmp_path / 'results')!r}), given_device='cpu'), processes=2)\n"
    )
    run = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert run.returncode != 0
    assert 'under `if __name__ == "__main__":`' in run.stderr


def test_the_settings_can_be_imported_without_torch():
    """Settings and lists of images are enough for a plan of jobs, and torch takes seconds to import."""
    code = "import sys; sys.modules['torch'] = None; import ribstudy.config"
    stub = "import sys, types; package = types.ModuleType('ribstudy'); package.__path__ = [sys.argv[1]]; "
    stub += "sys.modules['ribstudy'] = package; "
    package = Path(ribstudy.__file__).parent
    subprocess.run([sys.executable, "-c", stub + code, package], check=True)


def _kill_this_process(item):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_the_kernel_kills_is_reported_with_the_setting():
    with pytest.raises(OutOfMemory, match=r"worker process was killed, .* memory ran out; .* fewer processes \(--processes\)"):
        list(map_in_processes(_kill_this_process, [1, 2], processes=2))
