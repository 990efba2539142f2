"""Runs the checks of a bundle on a machine with a GPU and writes one report; scripts/gpu_check.sh calls it.

The stages run in order of importance, each within a limit of its own and all within --seconds. The report is
written anew after each, so that what has run is kept whatever happens. Leaves with 1 when a stage failed.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
# Of Qwen3: layers, hidden, ffn, heads, and whether the head has weights of its own. 8 key heads of 128.
SIZES = {"0.6b": (28, 1024, 3072, 16, False), "8b": (36, 4096, 12288, 32, True),
         "1.7b": (28, 2048, 6144, 16, False), "4b": (36, 2560, 9728, 32, False),
         "14b": (40, 5120, 17408, 40, True), "32b": (64, 5120, 25600, 64, True)}
PEER_TOKENS = (16384, 8192, 4096)  # the peer gets the micro-batch that is best for it
LENGTH = 4096
# A few sizes of each operator's tests: the sanitizer slows a kernel down a hundredfold.
SANITIZED = "*IsAsPrecise*"


class Report:
    """What has run so far, on disk as JSON and as Markdown."""

    def __init__(self, out):
        self.out = out
        self.value = {"stages": []}

    def add(self, stage):
        self.value["stages"].append(stage)
        print(f"{stage['name']}: {stage['status']} ({stage['seconds']:.0f} s)", file=sys.stderr)
        self.write()

    def write(self):
        self.out.with_suffix(".json").write_text(json.dumps(self.value, indent=1) + "\n")
        lines = ["# GPU check", ""]
        lines += [f"- {key}: {self.value[key]}" for key in ("gpu", "driver", "commit", "command")
                  if self.value.get(key)]
        lines += ["", "| stage | result | seconds | what it says |", "| --- | --- | --- | --- |"]
        lines += [f"| {s['name']} | {s['status']} | {s['seconds']:.0f} | {s['summary']} |"
                  for s in self.value["stages"]]
        self.out.with_suffix(".md").write_text("\n".join(lines) + "\n")

    def failed(self):
        return any(s["status"] == "failed" for s in self.value["stages"])


class Runner:
    """Runs commands within the time that is left."""

    def __init__(self, bundle, seconds):
        self.bundle = bundle
        self.end = time.monotonic() + seconds
        self.environment = os.environ | {"WEFT_FIXTURES": str(bundle / "checks" / "fixtures")}

    def left(self):
        return self.end - time.monotonic()

    def run(self, command, limit):
        """(exit status or None when out of time, output)"""
        try:
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False,
                                  timeout=max(min(limit, self.left()), 1), env=self.environment)
        except subprocess.TimeoutExpired as error:
            text = error.stdout or b""
            return None, text.decode() if isinstance(text, bytes) else text
        return done.returncode, done.stdout + done.stderr

    def weft(self, program, *arguments):
        return [self.bundle / "run", program, *arguments]


def stage(report, runner, name, body):
    """Runs `body`, which gives (status, summary, details)."""
    begin = time.monotonic()
    if runner.left() < 5:
        status, summary, details = "not run", "no time was left", {}
    else:
        try:
            status, summary, details = body()
        except (OSError, ValueError, KeyError) as error:
            status, summary, details = "failed", str(error), {}
    report.add({"name": name, "status": status, "summary": summary,
                "seconds": time.monotonic() - begin, **details})


def tests(runner, program, limit, prefix=()):
    """A gtest program's outcome: nothing that was skipped counts as passed."""
    result = runner.bundle / f"{program}.json"
    result.unlink(missing_ok=True)
    code, output = runner.run([*prefix, *runner.weft(program, f"--gtest_output=json:{result}")], limit)
    if not result.exists():
        return "failed", f"{program} left with {code} and no result", {"output": output[-4000:]}
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    failures = []
    for suite in json.loads(result.read_text())["testsuites"]:
        for test in suite["testsuite"]:
            kind = ("failed" if test.get("failures") else
                    "skipped" if test["result"] == "SKIPPED" else "passed")
            counts[kind] += 1
            if kind == "failed":
                failures.append({"test": f"{suite['name']}.{test['name']}",
                                 "says": test["failures"][0]["failure"][:600]})
    status = "passed" if code == 0 and counts["passed"] and not counts["failed"] else "failed"
    summary = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return status, summary, {"counts": counts, "failures": failures}


def device(report, runner):
    code, output = runner.run(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"], 20)
    if code != 0:
        return "failed", "nvidia-smi finds no GPU", {}
    report.value["gpu"], report.value["driver"] = output.strip().splitlines()[0].split(", ")
    code, output = runner.run(runner.weft("weft", "env"), 60)
    return ("passed" if code == 0 else "failed"), report.value["gpu"], {"env": output.splitlines()}


def curve(runner):
    code, output = runner.run([sys.executable, HERE / "gpu_curve.py", "--weft", runner.bundle / "run",
                               "--device", "cuda", "--dtype", "bf16", "--steps", 100], 120)
    if code not in (0, 1):
        return "failed", f"gpu_curve.py left with {code}", {"output": output[-4000:]}
    result = json.loads(output.strip().splitlines()[-1])
    return ("passed" if code == 0 else "failed",
            f"100 steps, largest smoothed difference to PEFT {result['largest_difference']:.2%}",
            {"curve": result})


def step(runner, size, program, tokens, limit, *variant):
    """One program's timing of a step, or None where it did not fit or finish. `variant`: more of its options."""
    layers, hidden, ffn, heads, untied = SIZES[size]
    options = ["--device", "cuda", "--dtype", "bf16", "--tokens", tokens, "--documents",
               max(tokens // LENGTH, 1), "--layers", layers, "--hidden", hidden, "--ffn", ffn,
               "--heads", heads, "--steps", 5, *variant] + (["--untied"] if untied else [])
    command = (runner.weft("weft_bench_step") if program == "weft" else
               [sys.executable, HERE / "peer_step.py"])
    code, output = runner.run([*command, *options], limit)
    return json.loads(output.strip().splitlines()[-1]) if code == 0 else None


def benchmark(runner, size):
    fit = ((t, r) for t in PEER_TOKENS if (r := step(runner, size, "weft", t, 60)))
    tokens, own = next(fit, (0, None))
    if own is None:
        return "failed", "weft has no timing", {}
    extended = step(runner, size, "weft", tokens, 60, "--lora-gemm", "extended")
    peers = {tokens: r for tokens in PEER_TOKENS if (r := step(runner, size, "peer", tokens, 60))}
    details = {"weft": own, "weft_extended": extended, "peers": peers}
    # The faster form is what a run takes (lora_gemm: auto).
    speeds = {form: r["tokens_per_second"] for form, r in (("plain", own), ("extended", extended)) if r}
    form = max(speeds, key=speeds.get)
    summary = f"{speeds[form]:.0f} tokens/s {form}, "
    if peers:
        best = max(r["tokens_per_second"] for r in peers.values())
        summary += f"{speeds[form] / best:.2f}x the peer's best"
    else:
        summary += "the peer has no timing"
    if peers:  # memory at equal tokens: at the most that fit both
        most = max(peers)
        same = ((extended if form == "extended" else own) if most == tokens else
                step(runner, size, "weft", most, 60, "--lora-gemm", form))
        if same is not None:
            details["weft_at_peers_tokens"] = same
            summary += f"; memory {same['peak_bytes'] / peers[most]['peak_bytes']:.2f}x at {most} tokens"
    summary += (f"; lora_gemm: extended {speeds['extended'] / speeds['plain']:.2f}x plain" if extended else
                "; lora_gemm: extended has no timing")
    return "passed", summary, details


def variant(runner, size, option, sizes):
    """A step with an option of weft_bench_step and without, at each number of tokens."""
    results, texts = {}, []
    for tokens in sizes:
        plain, other = step(runner, size, "weft", tokens, 60), step(runner, size, "weft", tokens, 60, option)
        if plain and other:
            results[tokens] = {"plain": plain, option: other}
            texts.append(f"{other['tokens_per_second'] / plain['tokens_per_second']:.2f}x at {tokens}")
    if not results:
        return "failed", f"no timing with {option}", {}
    return "passed", f"speed with {option} to without: {', '.join(texts)}", {"timings": results}


def sanitizer(runner, tool):
    program = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    if not pathlib.Path(program).exists():
        return "not run", "compute-sanitizer is not installed", {}
    runner.environment["GTEST_FILTER"] = SANITIZED
    outcome = tests(runner, "weft_kernels_gpu_tests", 100,
                    [program, "--tool", tool, "--error-exitcode", "9", "--target-processes", "all"])
    del runner.environment["GTEST_FILTER"]
    return outcome


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=float, default=570)
    arguments = parser.parse_args()
    bundle = arguments.bundle.resolve()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    report, runner = Report(arguments.out), Runner(bundle, arguments.seconds)
    commit = bundle / "COMMIT"
    report.value["commit"] = commit.read_text().strip() if commit.exists() else "unknown"
    report.value["command"] = f"scripts/gpu_check.sh {arguments.bundle.name}"
    stage(report, runner, "device", lambda: device(report, runner))
    stage(report, runner, "kernels", lambda: tests(runner, "weft_kernels_gpu_tests", 120))
    stage(report, runner, "models and attention", lambda: tests(runner, "weft_model_gpu_tests", 150))
    stage(report, runner, "step 0.6b", lambda: benchmark(runner, "0.6b"))
    stage(report, runner, "step 8b", lambda: benchmark(runner, "8b"))
    stage(report, runner, "curve", lambda: curve(runner))
    stage(report, runner, "8-bit base 8b", lambda: variant(runner, "8b", "--fp8", (16384,)))
    for size in ("0.6b", "8b"):
        stage(report, runner, f"attention {size}",
              lambda: variant(runner, size, "--not-deterministic", (16384,)))
    stage(report, runner, "graphs 0.6b", lambda: variant(runner, "0.6b", "--graphs", (2048, 8192)))
    for tool in ("memcheck", "racecheck"):
        stage(report, runner, f"compute-sanitizer {tool}", lambda: sanitizer(runner, tool))
    for size in list(SIZES)[2:]:
        stage(report, runner, f"step {size}", lambda: benchmark(runner, size))
    stage(report, runner, "graphs 1.7b", lambda: variant(runner, "1.7b", "--graphs", (2048, 8192)))
    sys.exit(1 if report.failed() else 0)


if __name__ == "__main__":
    main()
