"""Peak memory and launches of one LoRA step, weft's beside transformers + PEFT's, on a GPU that is not there.

    python compare_memory.py --build build/cuda --python PYTHON --out benchmarks/results/gpu_memory

PYTHON has torch (its CUDA build), transformers and peft. Both programs run on tests/absent_gpu, where LibTorch's own allocator
gives out memory as on a GPU and nothing is computed; so bytes and counts are what an H200 would see, and there are no times.
Steps are those of peer_step.py and weft_bench_step, with equal tokens and rank 16 on all seven projections, bf16.
Writes OUT.json and OUT.md.
"""

import argparse
import json
import os
import pathlib
import subprocess
import tempfile

from gpu_check import SIZES

HERE = pathlib.Path(__file__).resolve().parent
RUN = HERE.parent / "tests" / "absent_gpu" / "run.sh"
DEVICE_GIB = 2000  # more than either needs, so that neither gives memory back because it must


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True, help="a build folder of WEFT_CUDA=ON")
    parser.add_argument("--python", required=True)
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--documents", type=int, default=2)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=sorted(SIZES, key=lambda name: float(name[:-1])))
    parser.add_argument("--out", required=True)
    return parser.parse_args()


def shape_of(a, size):
    layers, hidden, ffn, heads, untied = SIZES[size]
    options = {"layers": layers, "hidden": hidden, "ffn": ffn, "heads": heads, "kv-heads": 8,
               "tokens": a.tokens, "documents": a.documents}
    flat = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return flat + (["--untied"] if untied else [])


def run(a, program, options, steps):
    """(the program's JSON, the stand-in's counts)."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report"
        environment = os.environ | {
            "WEFT_ABSENT_GPU_REPORT": str(report), "WEFT_ABSENT_GPU_GIB": str(DEVICE_GIB),
            "WEFT_ABSENT_GPU_COPIES": "1000000"}
        command = [str(RUN), a.build, *program, "--device", "cuda", "--dtype", "bf16",
                   "--steps", str(steps), *options]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
        words = report.read_text().splitlines()[0].split()
        counts = dict(zip(words[::2], map(int, words[1::2])))
        if counts["faults"]:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
        return json.loads(done.stdout.splitlines()[-1]), counts


def launches(counts):
    return sum(counts[name] for name in ("launches", "products", "attentions", "copies", "sets"))


def measure(a, program, options):
    result, few = run(a, program, options, 1)
    _, more = run(a, program, options, 3)
    return {"allocated_bytes": result["peak_bytes"], "device_bytes": few["peak_bytes"],
            "launches_per_step": (launches(more) - launches(few)) / 2,
            "versions": result.get("versions")}


def gb(value):
    return f"{value / 1e9:.1f}"


def table(results):
    yield "| model | weft, GB | peer, GB | ratio | of the device: weft, GB | peer, GB | launches: weft | extended | peer |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for size, r in results.items():
        w, e, p = r["weft"], r["weft_extended"], r["peer"]
        yield (f"| {size} | {gb(w['allocated_bytes'])} | {gb(p['allocated_bytes'])} | "
               f"{w['allocated_bytes'] / p['allocated_bytes']:.2f} | {gb(w['device_bytes'])} | "
               f"{gb(p['device_bytes'])} | {w['launches_per_step']:.0f} | "
               f"{e['launches_per_step']:.0f} | {p['launches_per_step']:.0f} |")


def page(a, results):
    commit = subprocess.run(["git", "-C", str(HERE), "describe", "--always", "--dirty"],
                            capture_output=True, text=True, check=False).stdout.strip()
    versions = next(iter(results.values()))["peer"]["versions"]
    yield from table(results)
    yield ""
    yield (f"One step of {a.tokens:,} tokens in {a.documents} documents, all of them trained, bf16, LoRA of rank 16 on all seven")
    yield "projections, nothing computed twice, weights random. The peer is transformers + PEFT with cuDNN's attention:"
    yield f"{', '.join(f'{name} {version}' for name, version in versions.items())}. Commit: {commit}."
    yield ""
    yield "No GPU was at hand: both programs ran on one that is not there (`tests/absent_gpu`). LibTorch's own allocator gave out the"
    yield "memory, cuDNN compiled its plans and said what workspace they take, and no kernel ran. *GB*: the most that the allocator had"
    yield "given out at one time. *of the device*: the most that it had taken, with what it keeps; for weft before and after the steps"
    yield "with products that measure the GEMM rate. *launches*: kernels, products, copies and plans that one step asks for. The device"
    yield f"had {DEVICE_GIB:,} GiB, so that nobody ran out. What CUDA's modules and libraries take for themselves is not in it."
    yield ""
    command = "python benchmarks/compare_memory.py --build BUILD --python PYTHON --out benchmarks/results/gpu_memory"
    yield f"Command: `{command}`"


def main():
    a = parse_arguments()
    weft = [str(pathlib.Path(a.build) / "weft_bench_step")]
    peer = [a.python, str(HERE / "peer_step.py")]
    results = {}
    for size in a.sizes:
        shape = shape_of(a, size)
        results[size] = {
            "weft": measure(a, weft, shape),
            "weft_extended": measure(a, weft, [*shape, "--lora-gemm", "extended"]),
            "peer": measure(a, peer, shape)}
        print(size, json.dumps(results[size]), flush=True)
    out = pathlib.Path(a.out)
    out.with_suffix(".json").write_text(json.dumps(
        {"tokens": a.tokens, "documents": a.documents, "sizes": results}, indent=1) + "\n")
    out.with_suffix(".md").write_text("\n".join(page(a, results)) + "\n")


if __name__ == "__main__":
    main()
