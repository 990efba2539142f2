"""A LoRA training curve by weft beside transformers + PEFT, from the same weights, adapter and rows.

    python gpu_curve.py --weft BUNDLE/run --device cuda --dtype bf16 --steps 100

Makes a small random Qwen3, an adapter by PEFT and rows that can be learnt in a temporary folder, trains with both,
and prints one JSON object. Leaves with 1 when a moving mean of the losses differs by more than --tolerance.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import peft
import torch
import transformers

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
IGNORED = -100
ROWS_A_STEP = 8
RATE = 2e-3


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weft", type=pathlib.Path, required=True,
                        help="the weft program, or the `run` of a bundle")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--dtype", choices=DTYPES, default="bf16")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--tolerance", type=float, default=0.01)
    return parser.parse_args()


def make_rows(count):
    """Counting upwards by a stride; the first tokens show it and are not trained."""
    generator = torch.Generator().manual_seed(5)

    def draw(low, high):
        return int(torch.randint(low, high, (), generator=generator))

    rows = []
    for _ in range(count):
        start, stride, length = draw(0, 997), draw(1, 7), draw(60, 200)
        ids = [5 + (start + stride * i) % 997 for i in range(length)]
        rows.append({"ids": ids, "labels": [IGNORED] * 3 + ids[3:]})
    return rows


def make_model(a, folder):
    config = transformers.Qwen3Config(
        vocab_size=1024, hidden_size=a.hidden, intermediate_size=3 * a.hidden, num_hidden_layers=a.layers,
        num_attention_heads=a.hidden // 64, num_key_value_heads=max(a.hidden // 128, 1), head_dim=128,
        tie_word_embeddings=True, max_position_embeddings=1024, eos_token_id=1, bos_token_id=None)
    torch.manual_seed(3)
    model = transformers.Qwen3ForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder / "model")
    adapted = peft.get_peft_model(model, peft.LoraConfig(
        r=16, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"))
    adapted.save_pretrained(folder / "adapter")


def train_peer(a, folder, rows):
    """The loss of each step: mean over all trained tokens of its rows."""
    if a.device == "cuda":  # it compiles a plan for each length of a row, half a second each
        torch.backends.cuda.enable_cudnn_sdp(False)
    model = transformers.Qwen3ForCausalLM.from_pretrained(folder / "model", dtype=DTYPES[a.dtype]).to(a.device)
    model = peft.PeftModel.from_pretrained(model, folder / "adapter", is_trainable=True)
    parameters = [p for p in model.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.data = parameter.data.float()
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.0)
    losses = []
    for step in range(a.steps):
        batch = rows[step * ROWS_A_STEP : (step + 1) * ROWS_A_STEP]
        trained = sum(label != IGNORED for row in batch for label in row["labels"])
        total = 0.0
        for row in batch:
            ids = torch.tensor([row["ids"]], device=a.device)
            labels = torch.tensor([row["labels"]], device=a.device)
            with torch.autocast(a.device, torch.bfloat16, enabled=a.dtype == "bf16"):
                logits = model(input_ids=ids, use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(
                logits[0, :-1].float(), labels[0, 1:], ignore_index=IGNORED, reduction="sum") / trained
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(total)
    return losses


def train_weft(a, folder, rows):
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = {"model_name_or_path": folder / "model", "adapter_name_or_path": folder / "adapter",
              "output_dir": folder / "out", "datasets": f"[{{path: {folder / 'rows.jsonl'}, format: ids}}]",
              "max_length": 256, "packing": "false", "shuffle": "false",
              "per_device_train_batch_size": ROWS_A_STEP, "max_steps": a.steps, "learning_rate": RATE,
              "lr_scheduler_type": "constant", "lora_rank": 16, "lora_alpha": 16, "dtype": a.dtype,
              "device": a.device, "save_strategy": "no", "report_to": "none"}
    (folder / "run.yaml").write_text("".join(f"{key}: {value}\n" for key, value in config.items()))
    program = [a.weft, "weft"] if a.weft.name == "run" else [a.weft]
    done = subprocess.run([*program, "train", folder / "run.yaml"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"weft train left with {done.returncode}\n{done.stderr}")
    return [json.loads(line)["loss"] for line in (folder / "out" / "metrics.jsonl").read_text().splitlines()]


def smoothed(losses, width=10):
    return [sum(losses[max(0, i - width + 1) : i + 1]) / min(i + 1, width) for i in range(len(losses))]


def main():
    a = parse_arguments()
    rows = make_rows(a.steps * ROWS_A_STEP)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        make_model(a, folder)
        own, peer = train_weft(a, folder, rows), train_peer(a, folder, rows)
    pairs = list(zip(smoothed(own), smoothed(peer), strict=True))
    largest = max(abs(x - y) / y for x, y in pairs)
    print(json.dumps({"largest_difference": largest, "tolerance": a.tolerance, "weft": own, "peft": peer}))
    learnt = peer[-1] < 0.8 * peer[0]
    sys.exit(0 if largest <= a.tolerance and learnt else 1)


if __name__ == "__main__":
    main()
