"""Measures the costs of the study's code on this machine's accelerator, or on its CPU if it has no accelerator.

    python -m ribstudy.bench                          # takes some minutes; make bench
    python -m ribstudy.bench --only adaptation        # keeps the other benchmarks of the record
    python -m ribstudy.bench --quick                  # tiny sizes, to check that everything runs; writes nothing
    python -m ribstudy.bench --device cpu             # uses the CPU even if there is an accelerator

Other programs that run at the same time distort the result.
"""

import argparse
import logging
import sys
import time
from types import ModuleType

from ribstudy.bench import adaptation, deviations, loading, matmul, parts, pooling, sweep
from ribstudy.bench.measure import BenchError, Plan, describe_device
from ribstudy.bench.running import add_to_record, measure
from ribstudy.runtime import paths, ranks

log = logging.getLogger("bench")

BENCHES: dict[str, ModuleType] = {
    "matmul": matmul,
    "adaptation": adaptation,
    "parts": parts,
    "pooling": pooling,
    "sweep": sweep,
    "loading": loading,
    "deviations": deviations,
}


def main(arguments: list[str]) -> int:
    options = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    plan = Plan(options.device or ranks.device(), options.quick)
    folder = options.folder or (None if options.quick else paths.RESULTS / "bench")
    device = describe_device(plan.device)
    failed = False
    for name in options.only or BENCHES:
        start = time.perf_counter()
        try:
            bench = measure(BENCHES[name], plan)
        except BenchError as error:
            log.error("%s: %s", name, error)
            failed = True
            continue
        log.info("%s (%.0f s)", name, time.perf_counter() - start)
        for quantity, measurement in bench.measurements.items():
            log.info("  %s: %s %s", quantity, measurement, measurement.unit)
        if folder:
            add_to_record(folder, device, name, bench)
    return 1 if failed else 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    form = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m ribstudy.bench", description=__doc__, formatter_class=form)
    parser.add_argument("--quick", action="store_true", help="use tiny sizes; write nothing unless --folder is given")
    parser.add_argument("--only", nargs="+", choices=BENCHES, metavar="NAME", help=f"run only these: {', '.join(BENCHES)}")
    parser.add_argument("--device", help='torch\'s name, such as "cpu" or "cuda:1"; default: an accelerator if there is one')
    parser.add_argument("--folder", type=paths.expanded, help="folder of the record; default: results/bench")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
