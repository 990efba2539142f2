"""What the model, adapter and training oracles share: exact arithmetic, documents, comparing.

The reference values are transformers' own code run in float64. Its Qwen3 code casts to float32 in
the norms, the softmax and RoPE whatever the model's type is, so `exact()` swaps the `torch` name
inside those modules for one whose float32 is float64, and the few lines that make the RoPE table.
Every number in a fixture is then the true value rounded once to float32.
"""

import contextlib
import json
import os
import pathlib
import sys
import warnings

import torch
import transformers
import transformers.modeling_rope_utils as rope_utils
import transformers.models.qwen3.modeling_qwen3 as modeling_qwen3
from safetensors.torch import load_file, save_file

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "fixtures"
MODELS = FIXTURES / "model"
ADAPTERS = FIXTURES / "lora"
IGNORED = -100

warnings.filterwarnings("ignore", module="peft|transformers")
transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
torch.set_num_threads(1)


class _Float64Torch:
    """The torch module with float32 meaning float64."""

    float = torch.float64
    float32 = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


def _exact_rope(self, x, position_ids):
    """Qwen3RotaryEmbedding.forward without its casts to float32."""
    angle = position_ids.double()[..., None] * self.inv_freq
    angle = torch.cat((angle, angle), dim=-1)
    return ((angle.cos() * self.attention_scaling).to(x.dtype),
            (angle.sin() * self.attention_scaling).to(x.dtype))


@contextlib.contextmanager
def exact():
    """Inside, transformers' Qwen3 computes in float64 throughout, RoPE tables included."""
    modules = (modeling_qwen3, rope_utils)
    rotary = modeling_qwen3.Qwen3RotaryEmbedding
    forward = rotary.forward
    for module in modules:
        module.torch = _Float64Torch()
    rotary.forward = _exact_rope
    try:
        yield
    finally:
        rotary.forward = forward
        for module in modules:
            module.torch = torch


def load_model(folder, dtype):
    """The model of a folder with eager attention; call inside exact() when dtype is float64."""
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation="eager"
    )
    return model.eval()


def load_rounded_model(folder):
    """A float64 model whose weights are the folder's weights rounded to bfloat16."""
    model = load_model(folder, torch.float64)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.to(torch.bfloat16))
    return model


def documents(tokens, cu_seqlens):
    """The (begin, end) of each packed document."""
    bounds = cu_seqlens.tolist()
    assert bounds[-1] == tokens.numel()
    return list(zip(bounds[:-1], bounds[1:]))


def packed_logits(model, tokens, cu_seqlens):
    """Logits (T, V) of packed documents, each run alone with no padding."""
    parts = [
        model(input_ids=tokens[begin:end].long()[None], use_cache=False).logits[0]
        for begin, end in documents(tokens, cu_seqlens)
    ]
    return torch.cat(parts)


def sum_loss(logits, tokens, cu_seqlens, mask):
    """Sum of -log p over the tokens whose mask is 1; a document's first token is never one."""
    total = logits.new_zeros(())
    for begin, end in documents(tokens, cu_seqlens):
        labels = tokens[begin:end].long().masked_fill(mask[begin:end] == 0, IGNORED)
        if end - begin > 1 and bool((labels[1:] != IGNORED).any()):
            total = total + torch.nn.functional.cross_entropy(
                logits[begin : end - 1], labels[1:], ignore_index=IGNORED, reduction="sum"
            )
    return total


def gradients(loss, named_parameters):
    """{name: gradient} of loss for the named parameters."""
    named = dict(named_parameters)
    values = torch.autograd.grad(loss, list(named.values()))
    return dict(zip(named, values))


def error(value, reference):
    """How far value is from reference: by the largest element, and in the root mean square."""
    difference = (value.double() - reference.double()).abs()
    scale = reference.double().abs().max().clamp_min(1e-300)
    spread = reference.double().pow(2).mean().sqrt().clamp_min(1e-300)
    return {"max_abs": difference.max().item(), "max_rel": (difference.max() / scale).item(),
            "rms_rel": (difference.pow(2).mean().sqrt() / spread).item()}


def worst(errors):
    """The largest max_rel and rms_rel among several errors."""
    return {key: max(e[key] for e in errors) for key in ("max_rel", "rms_rel")}


def rounded_floats(value, digits=4):
    """A JSON value with floats cut to a few digits: reports, not data."""
    if isinstance(value, dict):
        return {key: rounded_floats(item, digits) for key, item in value.items()}
    return float(f"{value:.{digits - 1}e}") if isinstance(value, float) else value


def one_thread():
    """The environment for a program on tiny models, where threads only wait for each other."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def save_tensors(tensors, path):
    """A safetensors file as the Hub expects them: contiguous, in CPU memory, format pt."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}, path,
              metadata={"format": "pt"})


def save_json(value, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


def versions():
    """The libraries a fixture was made with."""
    import peft

    return {"torch": torch.__version__, "transformers": transformers.__version__,
            "peft": peft.__version__}


def same_tensors(made, kept, tolerance):
    """Problems found when a remade safetensors file is held against the committed one."""
    left, right = load_file(made), load_file(kept)
    if left.keys() != right.keys():
        return [f"{kept}: other tensors than a new run makes: {sorted(left.keys() ^ right.keys())}"]
    problems = []
    for name, value in left.items():
        allowed = 0.05 if value.dtype == torch.bfloat16 else tolerance
        if value.dtype != right[name].dtype or value.shape != right[name].shape:
            problems.append(f"{kept}: {name} has another type or shape")
        elif error(value, right[name])["max_rel"] > allowed:
            problems.append(f"{kept}: {name} differs by {error(value, right[name])}")
    return problems


def compare_folders(made, kept, tolerance=1e-5):
    """Hold a freshly made fixture folder against the committed one; returns the problems."""
    problems = []
    for path in sorted(made.rglob("*.safetensors")):
        other = kept / path.relative_to(made)
        problems += same_tensors(path, other, tolerance) if other.exists() else [f"{other}: absent"]
    for path in sorted(kept.rglob("*.safetensors")):
        if not (made / path.relative_to(kept)).exists():
            problems.append(f"{path}: no longer made")
    return problems


def report(problems):
    """Print problems and leave with their verdict."""
    for problem in problems:
        print(problem, file=sys.stderr)
    print("FAILED" if problems else "OK")
    sys.exit(1 if problems else 0)
