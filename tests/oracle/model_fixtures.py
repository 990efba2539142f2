"""Tiny random Qwen3 models and what transformers computes with them.

    python model_fixtures.py            writes tests/fixtures/model
    python model_fixtures.py --check    makes them anew elsewhere and compares

README.md in this folder lists the tensors of an expected.safetensors.
"""

import argparse
import dataclasses
import pathlib
import tempfile

import model_common as common
import torch
import transformers


@dataclasses.dataclass(frozen=True)
class Shape:
    """One tiny model; `files` is single, sharded, or single with a copy of the tied head."""

    name: str
    seed: int
    vocab: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    tied: bool
    lengths: tuple
    spelling: str = "old"
    files: str = "single"
    theta: float = 1000000.0
    yarn: dict | None = None
    target_share: float = 0.6


SHAPES = [
    Shape("tied_gqa1", 11, 257, 48, 2, 4, 4, 12, 109, True, (1, 2, 7, 33, 48)),
    Shape("untied_gqa2", 12, 211, 72, 2, 4, 2, 10, 173, False, (64, 5, 1, 2, 17),
          spelling="new", files="sharded"),
    Shape("tied_gqa8", 13, 301, 48, 2, 8, 1, 8, 96, True, (33, 1, 1, 40), spelling="new",
          files="tied_copy", target_share=1.0),
    Shape("wide_head", 14, 199, 32, 3, 4, 2, 32, 61, False, (3, 65, 2, 20), theta=10000.0),
    Shape("head_128", 15, 223, 28, 2, 2, 1, 128, 83, True, (7, 31, 33, 1), spelling="both"),
    Shape("yarn", 16, 233, 56, 2, 4, 2, 16, 101, False, (50, 65, 3), theta=10000.0,
          yarn={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}),
    Shape("one_layer", 17, 251, 40, 1, 6, 3, 6, 77, True, (19,), spelling="new"),
]


def by_name(name):
    return next(shape for shape in SHAPES if shape.name == name)


def old_config(shape):
    """config.json as the Hub's Qwen3 models have it, with one key that nobody knows."""
    positions = 128 if shape.yarn else 256
    return {
        "architectures": ["Qwen3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "bos_token_id": 1, "eos_token_id": 2, "head_dim": shape.head_dim, "hidden_act": "silu",
        "hidden_size": shape.hidden, "initializer_range": 0.02,
        "intermediate_size": shape.ffn, "max_position_embeddings": positions,
        "max_window_layers": shape.layers, "model_type": "qwen3",
        "num_attention_heads": shape.heads, "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.kv_heads, "rms_norm_eps": 1e-06, "rope_scaling": shape.yarn,
        "rope_theta": shape.theta, "sliding_window": None, "tie_word_embeddings": shape.tied,
        "torch_dtype": "float32", "transformers_version": "4.51.0", "use_cache": True,
        "use_sliding_window": False, "vocab_size": shape.vocab,
        "x_unknown_to_weft": {"kept": ["as", "is"]},
    }


def write_config(shape, folder):
    """The old spelling, transformers 5's own, or both in one file."""
    old = old_config(shape)
    if shape.spelling == "old":
        common.save_json(old, folder / "config.json")
        return
    config = transformers.Qwen3Config(**old)
    config.save_pretrained(folder)
    if shape.spelling == "both":
        new = transformers.Qwen3Config.from_pretrained(folder).to_dict()
        common.save_json({**old, **new}, folder / "config.json")


def random_weights(shape):
    """Weights that give logits of some spread: unit gain, norms that are far from one."""
    generator = torch.Generator().manual_seed(shape.seed)

    def matrix(rows, columns, gain):
        return torch.randn(rows, columns, generator=generator) * (gain / columns**0.5)

    def norm(size):
        return 1.0 + 0.3 * torch.randn(size, generator=generator)

    query, key = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    weights = {"model.embed_tokens.weight": matrix(shape.vocab, shape.hidden, 2.0)}
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}."
        weights |= {
            prefix + "input_layernorm.weight": norm(shape.hidden),
            prefix + "self_attn.q_proj.weight": matrix(query, shape.hidden, 1.2),
            prefix + "self_attn.k_proj.weight": matrix(key, shape.hidden, 1.2),
            prefix + "self_attn.v_proj.weight": matrix(key, shape.hidden, 1.0),
            prefix + "self_attn.o_proj.weight": matrix(shape.hidden, query, 1.0),
            prefix + "self_attn.q_norm.weight": norm(shape.head_dim),
            prefix + "self_attn.k_norm.weight": norm(shape.head_dim),
            prefix + "post_attention_layernorm.weight": norm(shape.hidden),
            prefix + "mlp.gate_proj.weight": matrix(shape.ffn, shape.hidden, 1.5),
            prefix + "mlp.up_proj.weight": matrix(shape.ffn, shape.hidden, 1.0),
            prefix + "mlp.down_proj.weight": matrix(shape.hidden, shape.ffn, 1.0),
        }
    weights["model.norm.weight"] = norm(shape.hidden)
    if not shape.tied:
        weights["lm_head.weight"] = matrix(shape.vocab, shape.hidden, 2.0)
    return weights


def write_shards(weights, folder, count=3):
    """Sharded files with an index, tensors dealt out round robin."""
    shards = [{} for _ in range(count)]
    for position, name in enumerate(sorted(weights)):
        shards[position % count][name] = weights[name]
    weight_map = {}
    for position, shard in enumerate(shards):
        file = f"model-{position + 1:05d}-of-{count:05d}.safetensors"
        common.save_tensors(shard, folder / file)
        weight_map |= dict.fromkeys(shard, file)
    size = sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
    index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(weight_map.items()))}
    common.save_json(index, folder / "model.safetensors.index.json")


def write_model(shape, folder):
    weights = random_weights(shape)
    write_config(shape, folder)
    if shape.files == "sharded":
        write_shards(weights, folder)
        return
    if shape.files == "tied_copy":
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    common.save_tensors(weights, folder / "model.safetensors")


def packed_input(shape):
    """Ragged packed documents with random targets; a first token is never a target."""
    generator = torch.Generator().manual_seed(shape.seed + 1000)
    total = sum(shape.lengths)
    tokens = torch.randint(shape.vocab, (total,), generator=generator, dtype=torch.int32)
    mask = (torch.rand(total, generator=generator) < shape.target_share).to(torch.uint8)
    bounds = [0]
    for length in shape.lengths:
        mask[bounds[-1]] = 0
        bounds.append(bounds[-1] + length)
    return tokens, torch.tensor(bounds, dtype=torch.int32), mask


def independent_logits(shape, weights, ids):
    """Qwen3 written out in float64, to see that exact() leaves no float32 in transformers."""
    w = {name: value.double() for name, value in weights.items()}
    count, half = len(ids), shape.head_dim // 2

    def norm(x, weight):
        return x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * weight

    frequency = shape.theta ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = torch.arange(count, dtype=torch.float64)[:, None, None] * frequency
    cos, sin = angle.cos(), angle.sin()

    def rotate(x):
        a, b = x[..., :half], x[..., half:]
        return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)

    def heads(x, number):
        return x.view(count, number, shape.head_dim)

    x = w["model.embed_tokens.weight"][ids.long()]
    causal = torch.ones(count, count).tril() == 1
    for layer in range(shape.layers):
        p = f"model.layers.{layer}."
        y = norm(x, w[p + "input_layernorm.weight"])
        q = heads(y @ w[p + "self_attn.q_proj.weight"].T, shape.heads)
        k = heads(y @ w[p + "self_attn.k_proj.weight"].T, shape.kv_heads)
        v = heads(y @ w[p + "self_attn.v_proj.weight"].T, shape.kv_heads)
        q = rotate(norm(q, w[p + "self_attn.q_norm.weight"]))
        k = rotate(norm(k, w[p + "self_attn.k_norm.weight"]))
        repeat = shape.heads // shape.kv_heads
        k, v = (t.repeat_interleave(repeat, 1) for t in (k, v))
        score = torch.einsum("ihd,jhd->hij", q, k) / shape.head_dim**0.5
        share = score.masked_fill(~causal, -torch.inf).softmax(-1)
        attended = torch.einsum("hij,jhd->ihd", share, v).reshape(count, -1)
        x = x + attended @ w[p + "self_attn.o_proj.weight"].T
        y = norm(x, w[p + "post_attention_layernorm.weight"])
        gate = torch.nn.functional.silu(y @ w[p + "mlp.gate_proj.weight"].T)
        up = y @ w[p + "mlp.up_proj.weight"].T
        x = x + (gate * up) @ w[p + "mlp.down_proj.weight"].T
    head = w["model.embed_tokens.weight" if shape.tied else "lm_head.weight"]
    return norm(x, w["model.norm.weight"]) @ head.T


def reference_run(folder, packed):
    """True logits, sum loss and the gradient of every weight, in float64."""
    tokens, cu_seqlens, mask = packed
    with common.exact():
        model = common.load_model(folder, torch.float64)
        logits = common.packed_logits(model, tokens, cu_seqlens)
        loss = common.sum_loss(logits, tokens, cu_seqlens, mask)
        grads = common.gradients(loss, model.named_parameters())
    return logits.detach(), loss.detach(), grads


def own_runs(folder, packed, reference):
    """transformers' own float32 and bfloat16 runs, and the truth for bfloat16 weights."""
    tokens, cu_seqlens, mask = packed
    logits_true, loss_true, grads_true = reference
    model = common.load_model(folder, torch.float32)
    logits = common.packed_logits(model, tokens, cu_seqlens)
    loss = common.sum_loss(logits, tokens, cu_seqlens, mask)
    grads = common.gradients(loss, model.named_parameters())
    with torch.no_grad():
        bf16 = common.packed_logits(common.load_model(folder, torch.bfloat16), tokens, cu_seqlens)
        with common.exact():
            rounded = common.packed_logits(common.load_rounded_model(folder), tokens, cu_seqlens)
    errors = {
        "fp32_logits": common.error(logits, logits_true),
        "fp32_loss_rel": abs(loss.item() / loss_true.item() - 1),
        "fp32_gradients": common.worst([common.error(grads[n], grads_true[n]) for n in grads]),
        "bf16_logits": common.error(bf16, rounded),
    }
    return bf16, rounded, errors


def check_exact(shape, packed, logits):
    """The float64 run agrees with the model written out by hand, far beyond float32."""
    if shape.yarn:
        return
    tokens, cu_seqlens, _ = packed
    own = torch.cat([independent_logits(shape, random_weights(shape), tokens[begin:end])
                     for begin, end in common.documents(tokens, cu_seqlens)])
    off = common.error(logits, own)["max_rel"]
    assert off < 1e-11, f"{shape.name}: the float64 run is only exact to {off}"


def make(shape, root):
    """One model folder with its expected values."""
    folder = root / shape.name
    folder.mkdir(parents=True, exist_ok=True)
    write_model(shape, folder)
    packed = packed_input(shape)
    reference = reference_run(folder, packed)
    logits, loss, grads = reference
    check_exact(shape, packed, logits)
    bf16, rounded, errors = own_runs(folder, packed, reference)
    tokens, cu_seqlens, mask = packed
    common.save_tensors({
        "tokens": tokens, "cu_seqlens": cu_seqlens, "mask": mask, "logits": logits.float(),
        "logits_bf16": bf16.to(torch.bfloat16), "logits_bf16_true": rounded.float(),
        "loss": loss.double()[None],
        **{"grad." + name: value.float() for name, value in grads.items()},
    }, folder / "expected.safetensors")
    summary = {"shape": {f.name: getattr(shape, f.name) for f in dataclasses.fields(shape)},
               "loss": loss.item(), "trained_tokens": int(mask.sum()),
               "logits_std": logits.std().item(),
               "transformers_errors": errors, "made_with": common.versions()}
    common.save_json(common.rounded_floats(summary, 8), folder / "expected.json")
    print(shape.name, common.rounded_floats(summary["transformers_errors"], 2))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed files")
    arguments = parser.parse_args()
    if not arguments.check:
        for shape in SHAPES:
            make(shape, common.MODELS)
        return
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch)
        for shape in SHAPES:
            make(shape, root)
        common.report(common.compare_folders(root, common.MODELS))


if __name__ == "__main__":
    main()
