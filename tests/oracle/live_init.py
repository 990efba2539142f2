"""A checkpoint of `weft init` is a Qwen3 checkpoint to transformers."""

import json

import live_common as live
import torch
import transformers

PRESET = "tiny"


def load_strictly(check, folder):
    """The model, with nothing missing, left over or of another shape."""
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype="auto", attn_implementation="eager", output_loading_info=True)
    for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        check.expect(not info[key], f"{folder.name}: {key}: {info[key]}")
    check.expect(type(model).__name__ == "Qwen3ForCausalLM", f"{type(model).__name__} was loaded")
    return model.eval()


def check_weights(check, model):
    """Finite; norms one; matrices normal with the spread the config names."""
    spread = model.config.initializer_range
    for name, parameter in model.named_parameters():
        value = parameter.detach().float()
        check.expect(bool(value.isfinite().all()), f"{name} is not finite")
        if parameter.dim() == 1:
            check.expect(bool((value == 1).all()), f"{name} does not start at one")
            continue
        off = abs(value.std().item() / spread - 1)
        check.expect(off < 0.1, f"{name}: spread {value.std().item():.4f}, expected {spread}")
        check.expect(abs(value.mean().item()) < 5 * spread / value.numel() ** 0.5,
                     f"{name}: mean {value.mean().item():.2e}")


def check_all(check):
    first, second, other = (check.work / name for name in ("first", "second", "other"))
    check.weft("init", "--preset", PRESET, "--out", first, "--seed", 1)
    check.weft("init", "--preset", PRESET, "--out", second, "--seed", 1)
    check.weft("init", "--preset", PRESET, "--out", other, "--seed", 2)
    check.expect(live.digests(first) == live.digests(second), "one seed gives two checkpoints")
    check.expect(live.digests(first) != live.digests(other), "two seeds give one checkpoint")
    config = json.loads((first / "config.json").read_text())
    check.expect(config["model_type"] == "qwen3", f"model_type is {config['model_type']}")
    model = load_strictly(check, first)
    check_weights(check, model)
    tied = model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    check.expect(tied == config["tie_word_embeddings"], "tie_word_embeddings does not hold")
    rows = live.random_rows(config["vocab_size"])
    off = live.largest_difference(check.score(first, rows), live.logprobs(model.float(), rows))
    check.close("weft score against transformers", off, live.LOGPROB_TOLERANCE)
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{PRESET}: {parameters} parameters of {model.dtype}, tied {tied}")
    check.expect(model.dtype in (torch.float32, torch.bfloat16), f"weights are {model.dtype}")


if __name__ == "__main__":
    live.main(check_all)
