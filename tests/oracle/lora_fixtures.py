"""LoRA adapters made by PEFT on the tiny models, and what PEFT computes with them.

    python lora_fixtures.py            writes tests/fixtures/lora/<case>
    python lora_fixtures.py --check    makes them anew elsewhere and compares

README.md in this folder lists the tensors of an expected.safetensors.
"""

import argparse
import dataclasses
import json
import pathlib
import tempfile

import model_common as common
import peft
import torch
from safetensors.torch import load_file

ALL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclasses.dataclass(frozen=True)
class Case:
    """One adapter on one of the tiny models."""

    model: str
    seed: int
    rank: int = 4
    alpha: int = 16
    targets: tuple = ALL
    rslora: bool = False
    bf16: bool = False
    merged: bool = False


CASES = [
    Case("tied_gqa1", 31, rank=8, bf16=True, merged=True),
    Case("untied_gqa2", 32, rank=5, targets=("q_proj", "v_proj")),
    Case("tied_gqa8", 33, rank=4, rslora=True),
    Case("wide_head", 34, rank=7),
    Case("head_128", 35, rank=4, targets=("o_proj", "k_proj", "down_proj", "up_proj")),
    Case("yarn", 36, rank=6, alpha=6, bf16=True),
    Case("one_layer", 37, rank=8, targets=("gate_proj",)),
]


def lora_config(case):
    """PEFT's config; the base is named by its place in the source tree."""
    return peft.LoraConfig(
        r=case.rank, lora_alpha=case.alpha, target_modules=list(case.targets), lora_dropout=0.0,
        use_rslora=case.rslora, task_type="CAUSAL_LM", bias="none",
        base_model_name_or_path=f"tests/fixtures/model/{case.model}",
    )


def fill(model, seed):
    """A and B both random, so that no gradient is zero and no product is symmetric."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if "lora_" in name:
                fan = parameter.shape[1]
                gain = 1.0 if "lora_A" in name else 0.3
                value = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(value * (gain / fan**0.5))


def save_adapter(model, folder):
    """PEFT's own files, less its model card, and with its set of targets in one order."""
    model.save_pretrained(folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["target_modules"].sort()
    common.save_json(config, folder / "adapter_config.json")
    (folder / "README.md").unlink(missing_ok=True)


def write_adapter(case, folder):
    base = common.load_model(common.MODELS / case.model, torch.float32)
    model = peft.get_peft_model(base, lora_config(case))
    model.peft_config["default"].base_model_name_or_path = f"tests/fixtures/model/{case.model}"
    fill(model, case.seed)
    save_adapter(model, folder)


def load_adapter(base, folder, mixed=True):
    """The base with its adapter; unless mixed, A and B take the base's type."""
    model = peft.PeftModel.from_pretrained(
        base, folder, is_trainable=True, autocast_adapter_dtype=mixed
    ).eval()
    if not mixed:
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.data = parameter.data.to(base.dtype)
    return model


def file_key(name):
    """The key of an in-memory PEFT parameter in adapter_model.safetensors."""
    return name.replace(".default.weight", ".weight")


def run(model, packed):
    """Logits, sum loss and the gradient of every A and B."""
    tokens, cu_seqlens, mask = packed
    logits = common.packed_logits(model, tokens, cu_seqlens)
    loss = common.sum_loss(logits, tokens, cu_seqlens, mask)
    named = [(file_key(n), p) for n, p in model.named_parameters() if "lora_" in n]
    return logits.detach(), loss.detach(), common.gradients(loss, named)


def true_run(case, folder, packed, rounded=False):
    """The run in float64; rounded uses base weights rounded to bfloat16."""
    source = common.MODELS / case.model
    with common.exact():
        base = (common.load_rounded_model(source) if rounded
                else common.load_model(source, torch.float64))
        model = load_adapter(base, folder, mixed=False)
        assert all(p.dtype == torch.float64 for p in model.parameters())
        return run(model, packed)


def compare_runs(value, reference):
    """Errors of (logits, loss, gradients) against the true ones."""
    grads = reference[2]
    return {"logits": common.error(value[0], reference[0]),
            "loss_rel": abs(value[1].item() / reference[1].item() - 1),
            "gradients": common.worst([common.error(value[2][n], grads[n]) for n in grads])}


def own_run(case, folder, packed, dtype, mixed=True):
    base = common.load_model(common.MODELS / case.model, dtype)
    return run(load_adapter(base, folder, mixed), packed)


def bf16_part(case, folder, packed, errors):
    """Truth and PEFT's own errors in bfloat16, with A and B in float32 and in bfloat16."""
    reference = true_run(case, folder, packed, rounded=True)
    for name, mixed in (("peft_bf16_adapter_fp32", True), ("peft_bf16", False)):
        value = own_run(case, folder, packed, torch.bfloat16, mixed)
        errors[name] = compare_runs(value, reference)
    logits, loss, grads = reference
    return {"logits_bf16_true": logits.float(), "loss_bf16_true": loss.double()[None],
            **{"grad_bf16_true." + name: value.float() for name, value in grads.items()}}


def merged_part(case, folder, errors):
    """merge_and_unload in float64: every adapted weight of the last layer, rounded once."""
    source = common.MODELS / case.model
    with common.exact():
        base = common.load_model(source, torch.float64)
        merged = load_adapter(base, folder, mixed=False).merge_and_unload().state_dict()
    fp32 = load_adapter(common.load_model(source, torch.float32), folder).merge_and_unload()
    last = max(int(name.split(".")[2]) for name in merged if name.startswith("model.layers."))
    names = [n for n in merged if n.startswith(f"model.layers.{last}.") and "_proj" in n]
    own = fp32.state_dict()
    errors["merged_fp32"] = common.worst([common.error(own[n], merged[n]) for n in names])
    return {"merged." + name: merged[name].float() for name in names}


def make(case, root):
    """One adapter folder with its expected values."""
    folder = root / case.model
    write_adapter(case, folder)
    source = load_file(common.MODELS / case.model / "expected.safetensors")
    packed = source["tokens"], source["cu_seqlens"], source["mask"]
    reference = true_run(case, folder, packed)
    logits, loss, grads = reference
    errors = {"peft_fp32": compare_runs(own_run(case, folder, packed, torch.float32), reference)}
    tensors = {"logits": logits.float(), "loss": loss.double()[None],
               **{"grad." + name: value.float() for name, value in grads.items()}}
    if case.bf16:
        tensors |= bf16_part(case, folder, packed, errors)
    if case.merged:
        tensors |= merged_part(case, folder, errors)
    common.save_tensors(tensors, folder / "expected.safetensors")
    moved = common.error(logits, source["logits"])
    summary = {"case": {f.name: getattr(case, f.name) for f in dataclasses.fields(case)},
               "loss": loss.item(), "moved_from_base": moved, "peft_errors": errors,
               "made_with": common.versions()}
    common.save_json(common.rounded_floats(summary, 8), folder / "expected.json")
    print(case.model, "moved", common.rounded_floats(moved["rms_rel"], 2),
          common.rounded_floats(errors, 2))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed files")
    arguments = parser.parse_args()
    if not arguments.check:
        for case in CASES:
            make(case, common.ADAPTERS)
        return
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch)
        problems = []
        for case in CASES:
            make(case, root)
            problems += common.compare_folders(root / case.model, common.ADAPTERS / case.model)
        common.report(problems)


if __name__ == "__main__":
    main()
