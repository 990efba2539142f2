"""weft's tokenizer beside Hugging Face's `tokenizers` and PyPI's `bpe-qwen`, on one core, in one run.

    python benchmarks/tokenizer_speed.py --weft BUILD/weft_bench_tokenizer --model FOLDER \
        --corpora FOLDER --out benchmarks/results/tokenizer

--corpora holds what tokenizer_corpora.py writes; the python needs tokenizers and bpe-qwen. Each
program loads its tokenizer, then encodes every text of a corpus once, text by text, and is timed
over that alone, in processor time; all are bound to one core and take turns. The medians over the rounds are compared,
and the ids. Writes OUT.json and OUT.md.
"""

import argparse
import array
import hashlib
import json
import os
import pathlib
import platform
import shlex
import statistics
import subprocess
import sys
import time

CORPORA = ("english", "code", "chinese")
PEERS = ("tokenizers", "bpe-qwen")
TARGETS = {"english": (20, 3), "code": (20, 3), "chinese": (8, 2)}


def encoder(peer, model):
    """A function from a text to its ids, as fast as the library offers it."""
    if peer == "tokenizers":
        from tokenizers import Tokenizer
        tokenizer = Tokenizer.from_file(f"{model}/tokenizer.json")
        return lambda text: tokenizer.encode(text, add_special_tokens=False).ids
    from bpe_qwen.bpe_qwen import QwenTokenizer
    return QwenTokenizer(model).encode


def run_peer(peer, model, path):
    with open(path, encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file]
    encode = encoder(peer, model)
    begin = time.process_time()
    ids = [encode(text) for text in texts]
    seconds = time.process_time() - begin
    digest = hashlib.sha256()
    for row in ids:
        digest.update(array.array("i", row).tobytes())
    print(json.dumps({"seconds": seconds, "tokens": sum(map(len, ids)),
                      "bytes": sum(len(text.encode()) for text in texts),
                      "sha256": digest.hexdigest()}))


def run(command):
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1"}
    core = min(os.sched_getaffinity(0))
    done = subprocess.run(["taskset", "-c", str(core), *command], capture_output=True, text=True,
                          env=environment, check=False)
    if done.returncode != 0:
        sys.exit(f"{shlex.join(command)} left with {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def measure(arguments, corpus):
    path = str(arguments.corpora / f"{corpus}.jsonl")
    commands = {"weft": [arguments.weft, arguments.model, path]}
    for peer in PEERS:
        commands[peer] = [sys.executable, __file__, "--peer", peer, "--model", arguments.model,
                          "--corpora", path]
    rounds = {name: [] for name in commands}
    for _ in range(arguments.rounds):
        for name, command in commands.items():
            rounds[name].append(run(command))
    result = {"tokens": rounds["weft"][0]["tokens"], "bytes": rounds["weft"][0]["bytes"]}
    for name, runs in rounds.items():
        result[name] = {"seconds": [r["seconds"] for r in runs],
                        "tokens_per_second": runs[0]["tokens"] /
                        statistics.median(r["seconds"] for r in runs),
                        "same_ids": all(r["sha256"] == rounds["weft"][0]["sha256"] for r in runs)}
    for peer in PEERS:
        result[peer]["ratio"] = (result["weft"]["tokens_per_second"] /
                                 result[peer]["tokens_per_second"])
        turns = zip(result["weft"]["seconds"], result[peer]["seconds"])
        result[peer]["ratios"] = [b / a for a, b in turns]
    return result


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def commit():
    here = pathlib.Path(__file__).resolve().parent
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=here, text=True,
                          capture_output=True, check=False)
    return done.stdout.strip()


def table(result):
    lines = ["# Speed of tokenizing", "",
             f"{result['rounds']} rounds in turn, one core of {result['processor']}, commit "
             f"{result['commit']}, Python {result['python']}, " +
             ", ".join(f"{k} {v}" for k, v in result["versions"].items()) + ".", "",
             f"    {result['command']}", "",
             "| corpus | MB | tokens | weft, M tokens/s | " +
             " | ".join(f"{p}, M tokens/s | weft is faster by | over the rounds | same ids"
                        for p in PEERS) + " |",
             "| --- " * (4 + 4 * len(PEERS)) + "|"]
    for name, row in result["corpora"].items():
        cells = [name, f"{row['bytes'] / 1e6:.1f}", f"{row['tokens']:,}",
                 f"{row['weft']['tokens_per_second'] / 1e6:.2f}"]
        for peer, target in zip(PEERS, TARGETS[name]):
            other = row[peer]
            cells += [f"{other['tokens_per_second'] / 1e6:.2f}",
                      f"{other['ratio']:.1f} (wanted {target})",
                      f"{min(other['ratios']):.1f} to {max(other['ratios']):.1f}",
                      "yes" if other["same_ids"] else "no"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weft")
    parser.add_argument("--model", required=True)
    parser.add_argument("--corpora", required=True, type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path, help="write OUT.json and OUT.md")
    parser.add_argument("--peer", choices=PEERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        return run_peer(arguments.peer, arguments.model, arguments.corpora)
    from importlib.metadata import version
    result = {"processor": processor(), "commit": commit(), "rounds": arguments.rounds,
              "python": platform.python_version(),
              "versions": {peer: version(peer) for peer in PEERS},
              "command": "python " + shlex.join(["benchmarks/tokenizer_speed.py", *sys.argv[1:]]),
              "corpora": {name: measure(arguments, name) for name in CORPORA}}
    text = table(result)
    print(text, end="")
    if arguments.out:
        arguments.out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
        arguments.out.with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
