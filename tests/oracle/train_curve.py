"""Training curves by transformers, PEFT and torch.optim.AdamW on a tiny model.

    python train_curve.py            writes tests/fixtures/lora/{train_curve,full_curve}
    python train_curve.py --check    makes them anew elsewhere and compares
    python train_curve.py --weft BUILD/bin/weft [--work DIR]
                                     trains with weft from the same files and compares

train_curve is 32 steps of LoRA, full_curve 16 steps of full fine-tuning. Both take rows.jsonl in
order, 2 rows a micro-batch and 2 micro-batches a step, divide a step's loss by its trained tokens,
clip at 1.0 and follow a linear schedule. The values are float64; curve.json says how far
transformers' own float32 run strays.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile

import lora_fixtures as lora
import model_common as common
import peft
import torch
import transformers

MODEL = "tied_gqa1"
MICRO_BATCH = 2
ACCUMULATION = 2
CLIP = 1.0
RUNS = {
    "train_curve": {"max_steps": 32, "learning_rate": 5e-3, "warmup_steps": 3,
                    "weight_decay": 0.01},
    "full_curve": {"max_steps": 16, "learning_rate": 5e-3, "warmup_steps": 2, "weight_decay": 0.0},
}
RANK, ALPHA = 8, 16


def make_rows(count):
    """Rows that can be learnt: counting upwards by a stride the prompt shows."""
    generator = torch.Generator().manual_seed(77)

    def draw(low, high):
        return int(torch.randint(low, high, (), generator=generator))

    rows = []
    for _ in range(count):
        start, stride, length, prompt = draw(0, 97), draw(1, 5), draw(4, 25), draw(1, 4)
        ids = [3 + (start + stride * i) % 97 for i in range(length)]
        rows.append({"ids": ids, "labels": [common.IGNORED] * prompt + ids[prompt:]})
    return rows


def micro_batches(rows):
    """Micro-batches in order, each a (tokens, cu_seqlens, mask) of whole rows."""
    for begin in range(0, len(rows), MICRO_BATCH):
        bounds, ids, labels = [0], [], []
        for row in rows[begin : begin + MICRO_BATCH]:
            ids += row["ids"]
            labels += row["labels"]
            bounds.append(len(ids))
        mask = torch.tensor([int(label != common.IGNORED) for label in labels])
        yield torch.tensor(ids), torch.tensor(bounds), mask


def train(model, parameters, rows, options):
    """The curve: one {step, loss, grad_norm, learning_rate, tokens, trained_tokens} a step."""
    optimizer = torch.optim.AdamW(parameters, lr=options["learning_rate"], betas=(0.9, 0.999),
                                  eps=1e-8, weight_decay=options["weight_decay"])
    schedule = transformers.get_linear_schedule_with_warmup(
        optimizer, options["warmup_steps"], options["max_steps"])
    batches = list(micro_batches(rows))
    curve = []
    for step in range(options["max_steps"]):
        group = batches[step * ACCUMULATION : (step + 1) * ACCUMULATION]
        trained = sum(int(mask.sum()) for _, _, mask in group)
        total = 0.0
        for tokens, cu_seqlens, mask in group:
            logits = common.packed_logits(model, tokens, cu_seqlens)
            loss = common.sum_loss(logits, tokens, cu_seqlens, mask) / trained
            loss.backward()
            total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(parameters, CLIP).item()
        curve.append({"step": step + 1, "loss": total, "grad_norm": norm,
                      "learning_rate": schedule.get_last_lr()[0],
                      "tokens": sum(tokens.numel() for tokens, _, _ in group),
                      "trained_tokens": trained})
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return curve


def initial_adapter(folder):
    """PEFT's own start: A Kaiming uniform, B zero."""
    torch.manual_seed(78)
    base = common.load_model(common.MODELS / MODEL, torch.float32)
    config = peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=list(lora.ALL),
                             lora_dropout=0.0, task_type="CAUSAL_LM", bias="none")
    model = peft.get_peft_model(base, config)
    model.peft_config["default"].base_model_name_or_path = f"tests/fixtures/model/{MODEL}"
    lora.save_adapter(model, folder)


def lora_run(folder, rows, dtype):
    model = lora.load_adapter(common.load_model(common.MODELS / MODEL, dtype), folder / "initial",
                              mixed=False)
    parameters = [p for name, p in sorted(model.named_parameters()) if "lora_" in name]
    curve = train(model, parameters, rows, RUNS["train_curve"])
    final = {lora.file_key(n): p for n, p in model.named_parameters() if "lora_" in n}
    return curve, final


def full_run(rows, dtype):
    model = common.load_model(common.MODELS / MODEL, dtype)
    curve = train(model, list(model.parameters()), rows, RUNS["full_curve"])
    return curve, dict(model.named_parameters())


def stray(curve, reference, final, final_reference):
    """How far one curve and its final weights are from the true ones."""
    return {
        "loss_rel": max(abs(a["loss"] / b["loss"] - 1) for a, b in zip(curve, reference)),
        "grad_norm_rel": max(abs(a["grad_norm"] / b["grad_norm"] - 1)
                             for a, b in zip(curve, reference)),
        "final": common.worst([common.error(final[n], final_reference[n]) for n in final]),
    }


def write_yaml(name, folder):
    """The same run in weft's words; paths are given on the command line."""
    options = RUNS[name]
    kind = ([f"lora_rank: {RANK}", f"lora_alpha: {ALPHA}", "lora_dropout: 0.0", "lora_target: all"]
            if name == "train_curve" else ["finetuning_type: full"])
    lines = [
        "# model_name_or_path, datasets, output_dir"
        + (" and adapter_name_or_path" if name == "train_curve" else "")
        + " come from the command line",
        f"max_steps: {options['max_steps']}", "max_length: 64", "packing: false", "shuffle: false",
        f"per_device_train_batch_size: {MICRO_BATCH}",
        f"gradient_accumulation_steps: {ACCUMULATION}",
        f"learning_rate: {options['learning_rate']}", "lr_scheduler_type: linear",
        f"warmup_steps: {options['warmup_steps']}", f"weight_decay: {options['weight_decay']}",
        f"max_grad_norm: {CLIP}", "dtype: fp32", "device: cpu", "logging_steps: 1",
        f"save_steps: {options['max_steps']}", *kind,
    ]
    (folder / "run.yaml").write_text("\n".join(lines) + "\n")


def write_curve(name, folder, run):
    """Truth and float32 of one run, by run(dtype)."""
    with common.exact():
        curve, final = run(torch.float64)
    own, own_final = run(torch.float32)
    common.save_tensors({n: p.float() for n, p in final.items()}, folder / "final.safetensors")
    value = {"model": MODEL, **RUNS[name], "micro_batch_rows": MICRO_BATCH,
             "accumulation": ACCUMULATION, "max_grad_norm": CLIP, "steps": curve,
             "fp32_errors": common.rounded_floats(stray(own, curve, own_final, final)),
             "made_with": common.versions()}
    common.save_json(value, folder / "curve.json")
    write_yaml(name, folder)
    print(name, "loss", round(curve[0]["loss"], 3), "to", round(curve[-1]["loss"], 3),
          "norms", round(min(s["grad_norm"] for s in curve), 2),
          round(max(s["grad_norm"] for s in curve), 2), value["fp32_errors"])


def write_rows(rows, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def make(root):
    """Both curves under root."""
    for name, options in RUNS.items():
        rows = make_rows(options["max_steps"] * MICRO_BATCH * ACCUMULATION)
        write_rows(rows, root / name / "rows.jsonl")
        if name == "train_curve":
            initial_adapter(root / name / "initial")
            write_curve(name, root / name, lambda dtype: lora_run(root / name, rows, dtype))
        else:
            write_curve(name, root / name, lambda dtype: full_run(rows, dtype))


def check(root):
    """Hold new curves against the committed ones."""
    problems = []
    for name in RUNS:
        problems += common.compare_folders(root / name, common.ADAPTERS / name, 1e-4)
        made, kept = (json.loads((place / name / "curve.json").read_text())["steps"]
                      for place in (root, common.ADAPTERS))
        off = max(abs(a["loss"] / b["loss"] - 1) for a, b in zip(made, kept))
        if len(made) != len(kept) or off > 1e-6:
            problems.append(f"{name}: the curve differs by {off}")
    return problems


def run_weft(weft, name, out):
    """weft's metrics for one of the curves."""
    folder = common.ADAPTERS / name
    overrides = [f"model_name_or_path={common.MODELS / MODEL}", f"output_dir={out}",
                 f"datasets=[{{path: {folder / 'rows.jsonl'}}}]"]
    if name == "train_curve":
        overrides.append(f"adapter_name_or_path={folder / 'initial'}")
    subprocess.run([weft, "train", folder / "run.yaml", *overrides], check=True,
                   env=common.one_thread())
    lines = (out / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if "grad_norm" in row]


def totals(curve):
    """The curve with its token counts summed from the start, as weft's metrics have them."""
    tokens = trained = 0
    for row in curve:
        tokens, trained = tokens + row["tokens"], trained + row["trained_tokens"]
        yield {**row, "tokens": tokens, "trained_tokens": trained}


def compare_weft(weft, work):
    """Train both runs with weft; loss, norm and rate must follow within 1e-4."""
    problems = []
    for name in RUNS:
        own = run_weft(weft, name, work / name)
        kept = json.loads((common.ADAPTERS / name / "curve.json").read_text())
        reference = list(totals(kept["steps"]))
        if len(own) != len(reference):
            problems.append(f"{name}: {len(own)} steps, expected {len(reference)}")
            continue
        for key in ("loss", "grad_norm", "learning_rate", "tokens", "trained_tokens"):
            off = max(abs(a[key] - b[key]) / max(abs(b[key]), 1e-12)
                      for a, b in zip(own, reference))
            print(f"{name}: {key} differs by at most {off:.2e}")
            if off > 1e-4:
                problems.append(f"{name}: {key} differs by {off:.2e}, allowed 1e-4")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed files")
    parser.add_argument("--weft", type=pathlib.Path, help="compare this program with the curves")
    parser.add_argument("--work", type=pathlib.Path, help="folder for weft's output")
    arguments = parser.parse_args()
    if not (arguments.check or arguments.weft):
        make(common.ADAPTERS)
        return
    with tempfile.TemporaryDirectory() as scratch:
        work = arguments.work or pathlib.Path(scratch)
        if arguments.weft:
            common.report(compare_weft(arguments.weft.resolve(), work))
        make(work)
        common.report(check(work))


if __name__ == "__main__":
    main()
