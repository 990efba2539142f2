"""Writes tests/fixtures/safetensors/mixed.safetensors with Python's safetensors library.

    pip install safetensors==0.8.0 numpy==2.4.6 ml_dtypes==0.6.0
    python tests/oracle/safetensors_fixture.py

tests/model/safetensors_test.cpp declares the same tensors (byte i of a tensor is (i * 7 + 3) mod 256, of BOOL i mod 2) and
expects weft's writer to give the same file.
"""

import pathlib

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

TENSORS = [
    ("z.weight", ml_dtypes.bfloat16, (3, 5)),
    ("a.weight", ml_dtypes.bfloat16, (2, 2)),
    ("model.layers.10.norm", np.float32, (4,)),
    ("model.layers.2.norm", np.float32, (4,)),
    ("half", np.float16, (7,)),
    ("empty", np.float32, (0, 3)),
    ("scalar", np.float64, ()),
    ("flags", np.bool_, (3,)),
    ("bytes", np.uint8, (5,)),
    ("ids", np.int64, (2,)),
    ("small", np.int32, (1, 1, 3)),
    ("eight", ml_dtypes.float8_e4m3fn, (3,)),
    ('odd "name" \\ é', np.int8, (1,)),
]


def fill(dtype, shape):
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    step = 1 if dtype is np.bool_ else 7
    start = 0 if dtype is np.bool_ else 3
    modulus = 2 if dtype is np.bool_ else 256
    raw = bytes((i * step + start) % modulus for i in range(size))
    return np.frombuffer(raw, dtype=dtype).reshape(shape)


def main():
    folder = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: fill(dtype, shape) for name, dtype, shape in TENSORS}
    save_file(tensors, folder / "mixed.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    main()
