"""How fast this device multiplies matrices, which is what convolutions are held against."""

import torch

from bench.measure import Plan, threads, time_in_turn
from ribstudy.costs import Measurement
from ribstudy.models import use_exact_kernels

TYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}


def run(plan: Plan) -> dict[str, Measurement]:
    """FLOP/s of one square product in fp32 and bf16: on a CPU with one thread and with all, on an accelerator with tf32 too."""
    side = 256 if plan.quick else 2048 if plan.on_cpu else 8192
    rates = {}
    for number in sorted({1, plan.cores}) if plan.on_cpu else [torch.get_num_threads()]:
        where = (f", {number} thread" + "s" * (number > 1)) if plan.on_cpu else ""
        with threads(number):
            for precision in ("fp32", "bf16") if plan.on_cpu else TYPES:
                rates[precision + where] = _rate(side, precision, plan)
    return rates


def _rate(side: int, precision: str, plan: Plan) -> Measurement:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(side, side, generator=generator).to(plan.device, TYPES[precision]) for _ in range(2))
    use_exact_kernels(tf32=precision == "tf32")
    seconds = time_in_turn({"product": lambda: first @ second}, repeats=plan.repeats(9), device=plan.device)["product"]
    return Measurement.of([2 * side**3 / s for s in seconds], "FLOP/s", note=f"{side} x {side}")
