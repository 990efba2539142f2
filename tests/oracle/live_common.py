"""What the live checks share: running weft, transformers' side of a comparison, the verdict.

A live check is run as `python live_X.py --weft PATH [--work DIR]`. It prints the largest
differences, and leaves with 1 when one is too large or weft failed.
"""

import argparse
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

import model_common as common
import peft
import torch

LOGPROB_TOLERANCE = 1e-4


class Check:
    """Collects what was found; `weft` runs the program under test."""

    def __init__(self, weft, work):
        self.program = pathlib.Path(weft).resolve()
        self.work = work
        self.problems = []

    def expect(self, condition, message):
        if not condition:
            self.problems.append(message)
            print("PROBLEM", message)
        return condition

    def close(self, what, difference, allowed):
        print(f"{what}: differs by at most {difference:.2e} (allowed {allowed:.0e})")
        self.expect(difference <= allowed, f"{what} differs by {difference:.2e}")

    def weft(self, *arguments, stdin=None):
        """stdout of one run; a failure is an exception that carries stderr."""
        command = [str(self.program), *map(str, arguments)]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False,
                              env=common.one_thread())
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} left with {done.returncode}\n{done.stderr}")
        return done.stdout

    def score(self, model, rows, adapter=None):
        """weft's log-probabilities of each row of ids, the first of each row left out."""
        lines = "".join(json.dumps({"ids": ids}) + "\n" for ids in rows)
        extra = [] if adapter is None else ["--adapter", adapter]
        out = self.weft("score", "--model", model, "--dtype", "fp32", *extra, stdin=lines)
        answers = [json.loads(line) for line in out.splitlines()]
        self.expect([a["ids"] for a in answers] == rows, "score: ids do not come back in order")
        self.expect(all(a["logprobs"][0] is None for a in answers),
                    "score: the first token of a row has no log-probability, null is expected")
        return [torch.tensor(a["logprobs"][1:], dtype=torch.float64) for a in answers]


def logprobs(model, rows):
    """The same by transformers, each row alone."""
    result = []
    with torch.no_grad():
        for ids in rows:
            tokens = torch.tensor(ids)
            logits = model(input_ids=tokens[None], use_cache=False).logits[0]
            chosen = logits.double().log_softmax(-1)[:-1].gather(1, tokens[1:, None])
            result.append(chosen[:, 0])
    return result


def largest_difference(left, right):
    return max(((a - b).abs().max().item() for a, b in zip(left, right) if a.numel()), default=0.0)


def random_rows(vocab, lengths=(1, 2, 9, 40, 17), seed=5):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(vocab, (n,), generator=generator).tolist() for n in lengths]


def vocab_size(folder):
    return json.loads((folder / "config.json").read_text())["vocab_size"]


def base_model(folder, dtype=torch.float32):
    return common.load_model(folder, dtype)


def adapted_model(folder, adapter, dtype=torch.float32):
    return peft.PeftModel.from_pretrained(base_model(folder, dtype), adapter).eval()


def digests(folder):
    """{relative path: sha256} of every file under a folder."""
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def trained_adapter(out):
    """Where a run left its adapter: its final one, else the newest checkpoint's."""
    places = [out / "final", out, *sorted(out.glob("checkpoint-*"), reverse=True)]
    for place in places:
        if (place / "adapter_config.json").exists():
            return place
    raise RuntimeError(f"{out}: no adapter_config.json in {[str(place) for place in places]}")


def main(check):
    """Run check(Check) from the command line."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__.splitlines()[0])
    parser.add_argument("--weft", required=True, help="the program under test")
    parser.add_argument("--work", type=pathlib.Path, help="an empty folder to keep what is made")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = arguments.work or pathlib.Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        state = Check(arguments.weft, work.resolve())
        check(state)
    common.report(state.problems)
