"""Adapters cross between weft and PEFT both ways, with equal log-probabilities."""

import json

import live_common as live
import lora_fixtures as lora
import model_common as common
import train_curve as curve
from safetensors.torch import load_file

# The model, and the run's settings beyond its length.
TRAINED = [
    ("tied_gqa1", {}),
    ("tied_gqa8", {"lora_rank": 3, "lora_alpha": 12, "use_rslora": "true"}),
    ("untied_gqa2", {"lora_rank": 8, "lora_target": "[q_proj, v_proj, down_proj]"}),
]


def peft_to_weft(check):
    """Every adapter that PEFT made, and no adapter at all, scored by weft."""
    for case in lora.CASES:
        model, adapter = common.MODELS / case.model, common.ADAPTERS / case.model
        rows = live.random_rows(live.vocab_size(model))
        off = live.largest_difference(check.score(model, rows),
                                      live.logprobs(live.base_model(model), rows))
        check.close(f"{case.model}: weft score against transformers", off, live.LOGPROB_TOLERANCE)
        off = live.largest_difference(check.score(model, rows, adapter),
                                      live.logprobs(live.adapted_model(model, adapter), rows))
        check.close(f"{case.model}: PEFT's adapter in weft", off, live.LOGPROB_TOLERANCE)


def train(check, name, settings):
    """A short weft run with a new adapter; where the adapter is."""
    rows = check.work / "rows.jsonl"
    curve.write_rows(curve.make_rows(32), rows)
    out = check.work / f"run-{name}"
    options = {"model_name_or_path": common.MODELS / name, "output_dir": out,
               "datasets": f"[{{path: {rows}}}]", "max_steps": 8, "learning_rate": 0.01,
               "lr_scheduler_type": "constant", "max_length": 64, "dtype": "fp32",
               "device": "cpu", "save_steps": 8, **settings}
    config = check.work / f"{name}.yaml"
    config.write_text("".join(f"{key}: {value}\n" for key, value in options.items()))
    check.weft("train", config)
    return live.trained_adapter(out)


def expected_keys(model, adapter):
    """The file keys of an adapter that PEFT makes from the same adapter_config.json."""
    import peft

    config = peft.LoraConfig.from_pretrained(adapter)
    config.inference_mode = False
    adapted = peft.get_peft_model(live.base_model(model), config)
    state = peft.get_peft_model_state_dict(adapted)
    return {key: tuple(value.shape) for key, value in state.items()}


def weft_to_peft(check):
    """Every adapter that weft trained, loaded by PEFT, saved by it and read again by weft."""
    for name, settings in TRAINED:
        model = common.MODELS / name
        adapter = train(check, name, settings)
        tensors = load_file(adapter / "adapter_model.safetensors")
        shapes = {key: tuple(value.shape) for key, value in tensors.items()}
        check.expect(shapes == expected_keys(model, adapter),
                     f"{name}: keys or shapes of the adapter file are not PEFT's")
        check.expect(all(bool(v.any()) for k, v in tensors.items() if "lora_B" in k),
                     f"{name}: a B is still zero after 8 steps")
        kind = json.loads((adapter / "adapter_config.json").read_text())["peft_type"]
        check.expect(kind == "LORA", f"{name}: peft_type is {kind}")
        rows = live.random_rows(live.vocab_size(model))
        scored = check.score(model, rows, adapter)
        adapted = live.adapted_model(model, adapter)
        off = live.largest_difference(scored, live.logprobs(adapted, rows))
        check.close(f"{name}: weft's adapter in PEFT", off, live.LOGPROB_TOLERANCE)
        moved = live.largest_difference(scored, live.logprobs(live.base_model(model), rows))
        check.expect(moved > 1e-2, f"{name}: training moved no log-probability")
        adapted.save_pretrained(check.work / f"resaved-{name}")
        again = check.score(model, rows, check.work / f"resaved-{name}")
        check.close(f"{name}: saved again by PEFT", live.largest_difference(scored, again), 1e-6)


def check_all(check):
    peft_to_weft(check)
    weft_to_peft(check)


if __name__ == "__main__":
    live.main(check_all)
