#!/usr/bin/env python3
"""Writes tests/trainer/fixtures/schedules.json: learning rates of transformers' get_scheduler.

Run by hand when a schedule is added; the versions used are in the file. Needs transformers and torch.
"""

import argparse
import json
from pathlib import Path

import torch
import transformers
from transformers.optimization import get_scheduler

PEAK = 3e-4
SHAPES = [(0, 1), (0, 17), (1, 17), (5, 40), (40, 40), (60, 40)]  # (warm-up steps, all steps)
CASES = [
    ("linear", {}),
    ("cosine", {}),
    ("cosine", {"num_cycles": 1.25}),
    ("cosine_with_restarts", {}),
    ("cosine_with_restarts", {"num_cycles": 3}),
    ("cosine_with_min_lr", {"min_lr_rate": 0.1}),
    ("cosine_with_min_lr", {"min_lr": 2e-5, "num_cycles": 0.75}),
    ("constant", {}),
    ("constant_with_warmup", {}),
    ("polynomial", {}),
    ("polynomial", {"power": 2.5, "lr_end": 1e-5}),
    ("inverse_sqrt", {}),
    ("inverse_sqrt", {"timescale": 11}),
    ("warmup_stable_decay", {"num_decay_steps": 7}),
    ("warmup_stable_decay", {"num_decay_steps": 10, "decay_type": "linear", "min_lr_ratio": 0.05}),
    ("warmup_stable_decay", {"num_decay_steps": 9, "decay_type": "1-sqrt"}),
    ("warmup_stable_decay", {"num_decay_steps": 8, "decay_type": "cosine", "num_cycles": 1.5}),
]


def factors(name, kwargs, warmup, total):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    scheduler = get_scheduler(name, optimizer, warmup, total, scheduler_specific_kwargs=kwargs)
    factor = scheduler.lr_lambdas[0]
    return [float(factor(step)) for step in range(total + 3)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).parent.parent / "trainer/fixtures/schedules.json"
    parser.add_argument("--out", type=Path, default=default)
    args = parser.parse_args()
    cases = []
    for name, kwargs in CASES:
        for warmup, total in SHAPES:
            if name == "polynomial" and warmup >= total:
                continue  # transformers divides by zero there
            values = factors(name, kwargs, warmup, total)
            cases.append({"type": name, "kwargs": kwargs, "warmup": warmup, "total": total, "factors": values})
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with open(args.out, "w", encoding="utf-8") as out:
        head = {"transformers": transformers.__version__, "torch": torch.__version__, "peak": PEAK}
        out.write(json.dumps(head)[:-1] + ', "cases": [\n')
        out.write(",\n".join(json.dumps(case) for case in cases))
        out.write("\n]}\n")


if __name__ == "__main__":
    main()
