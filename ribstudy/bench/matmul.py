"""The speed of matrix products on this device, with which the speed of convolutions is compared."""

import statistics

import torch

from ribstudy.bench.measure import Plan, time_in_turn
from ribstudy.bench.records import Measurement
from ribstudy.models.kernels import use_exact_kernels
from ribstudy.runtime.ranks import threads

IMAGES = 32  # the rows of the matrix become the pixels of this many images
TYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}


def run(plan: Plan) -> dict[str, Measurement]:
    """FLOP/s of one square matrix product in fp32 and bf16.

    On a CPU it is measured with one thread and with all, on an accelerator in tf32 too. The product is computed as a matrix
    product and as a 1x1 convolution, and the faster one counts: on a CPU they come from different libraries, and one of the
    libraries may be better optimised for the processor.
    """
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
    image = first.view(IMAGES, side // IMAGES, 1, side).permute(0, 3, 1, 2)
    kernel = second.t()[:, :, None, None].contiguous(memory_format=torch.channels_last)
    products = {"product": lambda: first @ second, "convolution": lambda: torch.conv2d(image, kernel)}
    seconds = time_in_turn(products, repeats=plan.repeats(9), device=plan.device)
    fastest = min(products, key=lambda name: statistics.median(seconds[name]))
    return Measurement.of([2 * side**3 / s for s in seconds[fastest]], "FLOP/s", note=f"{side} x {side}, as a {fastest}")
