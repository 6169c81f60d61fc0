"""Time of a training step of the action unit systems and of the parts of the JAA trunk.

    python benchmarks/action_units.py [--unit 4 --image-px 64 --batch 16]

Least wall and CPU seconds (all threads of this process) of several steps; the default is the papers' size.

Measured for `jaa_hat_net` with torch 2 on one thread of an AMD EPYC core (AVX-512) that other work shared, least CPU
seconds of a step (forward, backward, SGD), the variants in turn. "Before" laid the patches out with their cells last
and pooled after ReLU; "loop" has one module a patch, written plainly for the comparison.

    size                                        loop   before   now
    unit 8, 176 px, batch 8, float32            3.35   2.93     -
    unit 8, 176 px, batch 8, float32, ch. last  -      2.78     2.55
    unit 8, 176 px, batch 8, bf16, ch. last     -      1.59     1.38
    unit 4, 64 px, batch 32, bf16, ch. last     -      0.408    0.347

In float32 the convolutions of the 14 high-level blocks and 12 refinement nets take most of the time at paper size and
the widest of them run at 165 to 185 GFLOP/s. Without channels-last, float32 steps became 5 % slower (3.05 to 3.19 s in
another run): the cards of both systems ask for it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import fields

import torch
from torch import Tensor

from vultus.core import registry
from vultus.core.loop import make_optimizer
from vultus.core.system import Batch, System
from vultus.nn.jaa import JaaTrunk


def timed(step: Callable[[], None], repeats: int) -> tuple[float, float]:
    """Least wall and least CPU seconds of a step, after one to warm up."""
    step()
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        step()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return min(walls), min(cpus)


def training_step(system: System, batch: Batch, precision: str, channels_last: bool) -> Callable[[], None]:
    if channels_last:
        system.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_optimizer(system.param_groups(1e-3), registry.get("jaa_net").train)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
            total = torch.stack(list(system.losses(batch).values())).sum()
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def random_batch(size: int, image_px: int, units: int) -> Batch:
    return {
        "image": torch.rand(size, 3, image_px, image_px) * 2 - 1,
        "landmarks": torch.rand(size, 49, 2) * image_px,
        "biocular": torch.full((size,), image_px / 3),
        "au_occurrence": (torch.rand(size, units) > 0.5).float(),
        "row": torch.arange(size),
    }


def forward_and_backward(part: Callable[[], Tensor]) -> Callable[[], None]:
    return lambda: part().sum().backward()  # type: ignore[no-untyped-call]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unit", type=int, default=8)
    parser.add_argument("--image-px", type=int, default=176)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    size = f"crop {arguments.image_px} px, unit {arguments.unit}, batch {arguments.batch}"
    print(f"{size}, {torch.get_num_threads()} threads")
    print(f"{'system':14s} {'parameters':>12s} {'precision':>10s} {'format':>14s} {'wall s':>8s} {'CPU s':>8s}")
    for key in ("jaa_net", "jaa_hat_net", "plain_cnn"):
        card = registry.get(key)
        for precision, channels_last in (("32-true", False), ("32-true", True), ("bf16-mixed", True)):
            named = {"image_px": arguments.image_px, "unit": arguments.unit}
            known = {field.name for field in fields(card.config)}
            config = card.config(**{name: value for name, value in named.items() if name in known})
            system = card.system(config)
            batch = random_batch(arguments.batch, arguments.image_px, len(config.aus))
            wall, cpu = timed(training_step(system, batch, precision, channels_last), arguments.repeats)
            count, layout = (
                sum(p.numel() for p in system.parameters()),
                "channels_last" if channels_last else "contiguous",
            )
            print(f"{key:14s} {count:12,d} {precision:>10s} {layout:>14s} {wall:8.3f} {cpu:8.3f}", flush=True)

    trunk = JaaTrunk(tuple(registry.get("jaa_net").config().aus), arguments.unit, arguments.image_px, 49)
    side = arguments.image_px // 4
    image = torch.rand(arguments.batch, 3, arguments.image_px, arguments.image_px)
    region = torch.rand(arguments.batch, 8 * arguments.unit, side, side)
    maps = torch.rand(arguments.batch, 1, side + 8, side + 8)
    parts: dict[str, Callable[[], Tensor]] = {
        "region": lambda: trunk.region(image),
        "alignment": lambda: trunk.align(region)[1],
        "refinement": lambda: torch.cat([net(maps) for net in trunk.refine]),
        "local": lambda: torch.stack([branch(region) for branch in trunk.local]),
    }
    print(f"\n{'part (float32)':14s} {'wall s':>8s} {'CPU s':>8s}")
    for name, part in parts.items():
        wall, cpu = timed(forward_and_backward(part), arguments.repeats)
        print(f"{name:14s} {wall:8.3f} {cpu:8.3f}", flush=True)


if __name__ == "__main__":
    main()
