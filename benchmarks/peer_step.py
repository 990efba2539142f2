"""One LoRA training step of transformers + PEFT, timed beside the machine's GEMM rate.

    python peer_step.py --tokens 512 --documents 1 --threads 2 --steps 3

Prints one JSON object. Weights are random, the shape is Qwen3-0.6B's unless changed. A step is
forward, loss, backward and AdamW on every A and B of all seven projections. Documents are of equal
length and form the batch dimension, so the peer pays for no padding and for no mask.

`flops_per_step` counts what such a step needs, so that the fraction is fair to both sides:
  base       4 * [L * (P_attn + P_mlp) * T + h * V * T_head]    forward and data gradient
  LoRA       6 * r * (in + out) * T for each adapted matrix
  attention  7 * Hq * d * s * T a layer: forward 2, backward 5, causal, s the document's length
T_head is T here, because transformers computes every row of the head; `--labelled-head` counts
only labelled rows, which is what a step needs at least. `gemm_gflops` is measured by torch.mm in
the same process, before and after the steps, on every matrix of the model in both directions at T
rows, weighted as the model uses them; `fraction_of_gemm` is the rate of the step over it.
"""

import argparse
import json
import resource
import statistics
import time

import peft
import torch
import transformers

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=512, help="tokens in a step")
    parser.add_argument("--documents", type=int, default=1, help="equal documents they form")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=3, help="timed steps, after one untimed")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--layers", type=int, default=28)
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--ffn", type=int, default=3072)
    parser.add_argument("--heads", type=int, default=16)
    parser.add_argument("--kv-heads", type=int, default=8)
    parser.add_argument("--head-dim", type=int, default=128)
    parser.add_argument("--vocab", type=int, default=151936)
    parser.add_argument("--dtype", choices=DTYPES, default="fp32")
    parser.add_argument("--labelled-fraction", type=float, default=1.0,
                        help="share of each document, at its end, that is trained")
    parser.add_argument("--untied", action="store_true", help="an LM head of its own")
    parser.add_argument("--labelled-head", action="store_true",
                        help="count only labelled rows of the head in flops_per_step")
    arguments = parser.parse_args()
    if arguments.tokens % arguments.documents:
        parser.error("--tokens must be a multiple of --documents")
    return arguments


def matrices(a):
    """{name: (out, in)} of one layer's projections."""
    query, key = a.heads * a.head_dim, a.kv_heads * a.head_dim
    return {"q_proj": (query, a.hidden), "k_proj": (key, a.hidden), "v_proj": (key, a.hidden),
            "o_proj": (a.hidden, query), "gate_proj": (a.ffn, a.hidden),
            "up_proj": (a.ffn, a.hidden), "down_proj": (a.hidden, a.ffn)}


def flops_per_step(a):
    """Base, LoRA and attention, as the head of this file says."""
    layer = list(matrices(a).values())
    head_rows = a.tokens * (a.labelled_fraction if a.labelled_head else 1.0)
    base = 4 * (a.layers * sum(o * i for o, i in layer) * a.tokens
                + a.hidden * a.vocab * head_rows)
    lora = 6 * a.rank * a.layers * sum(o + i for o, i in layer) * a.tokens
    attention = 7 * a.heads * a.head_dim * (a.tokens // a.documents) * a.tokens * a.layers
    return {"base": base, "lora": lora, "attention": attention}


def finish(a):
    """Waits for the GPU, which works on while the host goes on."""
    if a.device == "cuda":
        torch.cuda.synchronize()


def time_product(a, left, right, out):
    """The best of a few timings of one product, in seconds."""
    best = float("inf")
    for _ in range(3):
        begin = time.perf_counter()
        torch.mm(left, right, out=out)
        finish(a)
        best = min(best, time.perf_counter() - begin)
    return best


def gemm_rate(a):
    """GFLOP/s of torch.mm over the model's shapes, forward and data gradient."""
    seconds = flops = 0.0
    shapes = [(shape, a.layers) for shape in matrices(a).values()] + [((a.vocab, a.hidden), 1)]
    for (rows, columns), count in shapes:
        on = {"device": a.device, "dtype": DTYPES[a.dtype] if a.device == "cuda" else None}
        weight = torch.randn(rows, columns, **on)
        x, y = torch.randn(a.tokens, columns, **on), torch.empty(a.tokens, rows, **on)
        seconds += count * (time_product(a, x, weight.T, y) + time_product(a, y, weight, x))
        flops += count * 4.0 * rows * columns * a.tokens
    return flops / seconds / 1e9


def build_model(a):
    config = transformers.Qwen3Config(
        vocab_size=a.vocab, hidden_size=a.hidden, intermediate_size=a.ffn,
        num_hidden_layers=a.layers, num_attention_heads=a.heads, num_key_value_heads=a.kv_heads,
        head_dim=a.head_dim, tie_word_embeddings=not a.untied, attn_implementation="sdpa")
    config.rope_parameters = {"rope_type": "default", "rope_theta": 1e6}
    torch.set_default_dtype(DTYPES[a.dtype])
    with torch.device(a.device):
        model = transformers.Qwen3ForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    adapted = peft.get_peft_model(model, peft.LoraConfig(
        r=a.rank, lora_alpha=a.rank, target_modules=TARGETS, task_type="CAUSAL_LM"))
    return adapted.train()


def make_batch(a):
    """(ids, labels): documents by rows; the first part of each is not trained."""
    generator = torch.Generator().manual_seed(1)
    length = a.tokens // a.documents
    ids = torch.randint(a.vocab, (a.documents, length), generator=generator)
    labels = ids.clone()
    labels[:, : length - round(length * a.labelled_fraction)] = -100
    return ids.to(a.device), labels.to(a.device)


def run_steps(a, model):
    """(seconds of each timed step, losses)."""
    if a.device == "cuda":  # cuDNN's attention is the fastest that PyTorch has on Hopper
        torch.backends.cuda.enable_flash_sdp(False)
        torch.backends.cuda.enable_mem_efficient_sdp(False)
        torch.backends.cuda.enable_cudnn_sdp(True)
        torch.cuda.reset_peak_memory_stats()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
    ids, labels = make_batch(a)
    seconds, losses = [], []
    for step in range(a.steps + 1):
        begin = time.perf_counter()
        loss = model(input_ids=ids, labels=labels, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        finish(a)
        if step > 0:
            seconds.append(time.perf_counter() - begin)
    return seconds, losses


def main():
    a = parse_arguments()
    torch.set_num_threads(a.threads)
    before = gemm_rate(a)
    model = build_model(a)
    seconds, losses = run_steps(a, model)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if a.device == "cuda":
        peak = torch.cuda.max_memory_allocated()
    del model
    rates = [before, gemm_rate(a)]
    flops = flops_per_step(a)
    step = statistics.median(seconds)
    rate = sum(flops.values()) / step / 1e9
    gpu = {"gpu": torch.cuda.get_device_name()} if a.device == "cuda" else {}
    print(json.dumps(gpu | {
        "program": "transformers+peft", "tokens_per_second": a.tokens / step,
        "step_seconds": step, "steps_seconds": seconds, "peak_bytes": peak,
        "gemm_gflops": statistics.mean(rates), "gemm_gflops_before_after": rates,
        "step_gflops": rate, "fraction_of_gemm": rate / statistics.mean(rates),
        "flops_per_step": flops, "losses": losses, "settings": vars(a),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__,
                     "peft": peft.__version__},
    }))


if __name__ == "__main__":
    main()
