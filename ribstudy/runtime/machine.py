"""A description of the machine, for records."""

import os
import platform
import re
from pathlib import Path


def cpu_model() -> str:
    """The name of the processor, such as "AMD EPYC 7B13"; its architecture if the system does not tell the name."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.is_file() else None
    return found.group(1).strip() if found else platform.machine()


def machine_name() -> str:
    """The processor, the number of cores and the system."""
    return f"{cpu_model()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"
