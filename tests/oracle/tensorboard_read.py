#!/usr/bin/env python3
"""Checks with the real TensorBoard that its events hold what metrics.jsonl says, step for step."""

import argparse
import json
import math
import struct
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

TRAIN = ("loss", "learning_rate", "grad_norm", "tokens", "trained_tokens")


def as_float32(value):
    return math.nan if value is None else struct.unpack("f", struct.pack("f", value))[0]


def expected_scalars(path):
    scalars = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            for key, value in row.items():
                if key in TRAIN:
                    scalars.setdefault(f"train/{key}", []).append((row["step"], as_float32(value)))
                elif key.startswith("eval_"):
                    tag = f"eval/{key[len('eval_'):]}"
                    scalars.setdefault(tag, []).append((row["step"], as_float32(value)))
    return scalars


def same(left, right):
    return left == right or (math.isnan(left) and math.isnan(right))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", required=True, help="folder of the event files")
    parser.add_argument("--metrics", required=True, help="metrics.jsonl of the same run")
    args = parser.parse_args()
    events = EventAccumulator(args.events, size_guidance={"scalars": 0})
    events.Reload()
    expected = expected_scalars(args.metrics)
    if not expected:
        sys.exit(f"{args.metrics} holds no metrics")
    for tag, rows in expected.items():
        found = [(event.step, event.value) for event in events.Scalars(tag)]
        if len(found) != len(rows) or not all(a[0] == b[0] and same(a[1], b[1]) for a, b in zip(found, rows)):
            sys.exit(f"{tag}: TensorBoard reads {found}, the metrics say {rows}")
    print(f"TensorBoard reads {len(expected)} tags as the metrics say")


if __name__ == "__main__":
    main()
