"""weft's training step and transformers + PEFT's in one run, on one machine, with one result file.

    python compare_step.py --weft BUILD/bin/weft_bench_step --python VENV/bin/python \
        --out benchmarks/results/cpu_step

With --against-itself the other side is weft too, without --weft-arguments: what a setting costs or
saves. Runs both programs in turn, several rounds, so that a machine that slows down slows both. Options
that this script does not know go to both. Writes OUT.json with everything and OUT.md with a table,
the machine, the commit and the command.

weft_bench_step takes peer_step.py's options and prints one JSON object with at least
tokens_per_second, peak_bytes, gemm_gflops and fraction_of_gemm.
"""

import argparse
import json
import pathlib
import platform
import shlex
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
KEYS = ("tokens_per_second", "peak_bytes", "gemm_gflops", "fraction_of_gemm")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weft", required=True, help="the weft_bench_step program")
    parser.add_argument("--python", default=sys.executable, help="a python that has the peer")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=pathlib.Path, help="write OUT.json and OUT.md")
    parser.add_argument("--min-speed", type=float, help="fail under this ratio of tokens/s")
    parser.add_argument("--max-memory", type=float, help="fail over this ratio of peak memory")
    parser.add_argument("--weft-arguments", default="", help="options for weft_bench_step alone")
    parser.add_argument("--against-itself", action="store_true",
                        help="compare with weft without --weft-arguments")
    return parser.parse_known_args()


def run(command):
    """The JSON object of a program's last line."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{shlex.join(command)} left with {done.returncode}\n{done.stderr}")
    value = json.loads(done.stdout.strip().splitlines()[-1])
    missing = [key for key in KEYS if key not in value]
    if missing:
        sys.exit(f"{shlex.join(command)} printed no {', '.join(missing)}")
    return value


def summary(runs):
    """Medians over the rounds; for memory the worst."""
    result = {key: statistics.median(r[key] for r in runs) for key in KEYS}
    result["peak_bytes"] = max(r["peak_bytes"] for r in runs)
    return result


def commit():
    done = subprocess.run(["git", "-C", HERE, "describe", "--always", "--dirty"],
                          capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def machine(result):
    """The GPU where the programs ran on one, else the processor."""
    if "gpu" in result:
        return result["gpu"]
    with open("/proc/cpuinfo") as lines:
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} × {names[0] if names else platform.machine()}"


def table(result):
    """The result as Markdown."""
    weft, peer, ratio = result["weft"], result["peer"], result["ratio"]
    rows = [
        ("tokens/s", f"{weft['tokens_per_second']:.2f}", f"{peer['tokens_per_second']:.2f}",
         f"{ratio['tokens_per_second']:.2f}×"),
        ("peak memory, GB", f"{weft['peak_bytes'] / 1e9:.2f}",
         f"{peer['peak_bytes'] / 1e9:.2f}", f"{ratio['peak_bytes']:.2f}×"),
        ("GEMM rate, GFLOP/s", f"{weft['gemm_gflops']:.1f}", f"{peer['gemm_gflops']:.1f}", ""),
        ("share of the GEMM rate", f"{weft['fraction_of_gemm']:.1%}",
         f"{peer['fraction_of_gemm']:.1%}", ""),
    ]
    lines = [f"| | {result['names'][0]} | {result['names'][1]} | ratio |",
             "| --- | --- | --- | --- |"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    versions = result["runs"]["peer"][0].get("versions", {})
    peer_line = f" Peer: {', '.join(f'{k} {v}' for k, v in versions.items())}." if versions else ""
    lines += ["", f"Machine: {result['machine']}. Commit: {result['commit']}.{peer_line} "
              f"Median of {result['rounds']} rounds, memory the largest.", "",
              f"Command: `{result['command']}`"]
    return "\n".join(lines) + "\n"


def main():
    arguments, shared = parse_arguments()
    names = ("weft", "transformers + PEFT")
    commands = {
        "weft": [arguments.weft, *shared, *shlex.split(arguments.weft_arguments)],
        "peer": [arguments.python, str(HERE / "peer_step.py"), *shared],
    }
    if arguments.against_itself:
        names = (f"weft {arguments.weft_arguments}", "weft")
        commands["peer"] = [arguments.weft, *shared]
    runs = {"weft": [], "peer": []}
    for _ in range(arguments.rounds):
        for name, command in commands.items():
            runs[name].append(run(command))
            print(name, {k: round(runs[name][-1][k], 3) for k in KEYS}, file=sys.stderr)
    weft, peer = summary(runs["weft"]), summary(runs["peer"])
    result = {"weft": weft, "peer": peer, "ratio": {key: weft[key] / peer[key] for key in KEYS},
              "names": names, "rounds": arguments.rounds, "machine": machine(runs["peer"][0]), "commit": commit(),
              "command": shlex.join(["python", "benchmarks/compare_step.py", *sys.argv[1:]]),
              "runs": runs}
    print(table(result))
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
        arguments.out.with_suffix(".md").write_text(table(result))
    slow = arguments.min_speed and result["ratio"]["tokens_per_second"] < arguments.min_speed
    large = arguments.max_memory and result["ratio"]["peak_bytes"] > arguments.max_memory
    sys.exit(1 if slow or large else 0)


if __name__ == "__main__":
    main()
