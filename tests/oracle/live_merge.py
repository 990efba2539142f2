"""A merged folder is a plain checkpoint with the logits of base plus adapter."""

import json
import shutil

import live_common as live
import lora_fixtures as lora
import model_common as common
import peft
import torch
from safetensors.torch import load_file

TOKENIZER_FILES = {
    "tokenizer_config.json": '{"kept": "byte for byte",\n   "spaces": "too"}\n',
    "merges.txt": "#version: 0.2\n",
    "vocab.json": '{"a": 0}',
    "generation_config.json": '{"eos_token_id": [2, 1], "unknown": null}\n',
}


def halve_index(folder):
    """The total_size of float32 tensors that became bfloat16."""
    for path in folder.glob("*.index.json"):
        index = json.loads(path.read_text())
        index["metadata"]["total_size"] //= 2
        common.save_json(index, path)


def copy_model(check, name, dtype=torch.float32):
    """The fixture model alone in a folder, with tokenizer files beside it."""
    folder = check.work / f"base-{name}-{dtype}".replace("torch.", "")
    folder.mkdir()
    for path in (common.MODELS / name).iterdir():
        if not path.name.startswith("expected"):
            shutil.copy(path, folder)
    for file, text in TOKENIZER_FILES.items():
        (folder / file).write_text(text)
    if dtype != torch.float32:
        for path in folder.glob("*.safetensors"):
            common.save_tensors({k: v.to(dtype) for k, v in load_file(path).items()}, path)
        halve_index(folder)
        config = json.loads((folder / "config.json").read_text())
        key = "dtype" if "dtype" in config else "torch_dtype"
        common.save_json({**config, key: "bfloat16"}, folder / "config.json")
    return folder


def tensors_of(folder):
    """All tensors of a checkpoint; with an index, each must lie where the index says."""
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return load_file(folder / "model.safetensors")
    value = json.loads(index.read_text())
    files = {file: load_file(folder / file) for file in set(value["weight_map"].values())}
    tensors = {name: files[file][name] for name, file in value["weight_map"].items()}
    size = sum(t.numel() * t.element_size() for t in tensors.values())
    assert sum(map(len, files.values())) == len(tensors), f"{folder}: a tensor is in two shards"
    assert value["metadata"]["total_size"] == size, f"{folder}: total_size is not {size}"
    return tensors


def merge(check, base, adapter, *extra):
    """weft merge into a new folder; the input must stay as it was."""
    out = check.work / f"merged-{base.name}{'-sharded' if extra else ''}"
    before = live.digests(base), live.digests(adapter)
    check.weft("merge", "--model", base, "--adapter", adapter, "--out", out, *extra)
    check.expect(before == (live.digests(base), live.digests(adapter)),
                 f"{base.name}: merging changed its input")
    return out


def check_files(check, base, out):
    """Config keys and tokenizer files are the source's; tied stays tied."""
    source = json.loads((base / "config.json").read_text())
    merged = json.loads((out / "config.json").read_text())
    changed = sorted(k for k in source.keys() | merged.keys() if source.get(k) != merged.get(k))
    check.expect(not changed, f"{base.name}: config keys changed by merging: {changed}")
    for file in TOKENIZER_FILES:
        same = (out / file).exists() and (out / file).read_bytes() == (base / file).read_bytes()
        check.expect(same, f"{base.name}: {file} was not copied byte for byte")
    model = live.base_model(out)
    if source["tie_word_embeddings"]:
        tied = model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
        check.expect(tied, f"{base.name}: the merged model is not tied")
    return model


def check_values(check, base, adapter, out, exact=False):
    """Adapted tensors are the true sum rounded once, all others are the same bits."""
    with common.exact():
        model = common.load_model(base, torch.float64)
        merged = lora.load_adapter(model, adapter, mixed=False).merge_and_unload()
        truth = {name: value.detach() for name, value in merged.state_dict().items()}
    source, made = tensors_of(base), tensors_of(out)
    expected = set(source) - ({"lm_head.weight"} if "lm_head.weight" not in made else set())
    check.expect(set(made) == expected, f"{out.name}: tensors {sorted(set(made) ^ expected)}")
    worst, unequal, total = 0.0, 0, 0
    for name, value in made.items():
        check.expect(value.dtype == source[name].dtype, f"{out.name}: {name} changed its type")
        if torch.equal(truth[name], source[name].double()):
            check.expect(torch.equal(value, source[name]), f"{out.name}: {name} changed")
            continue
        rounded = truth[name].to(value.dtype)
        unequal += int((rounded != value).sum())
        total += value.numel()
        worst = max(worst, common.error(value, rounded)["max_rel"])
    check.close(f"{out.name}: weights against the true sum", worst, 4e-3 if exact else 1e-6)
    if exact:
        share = unequal / max(total, 1)
        check.close(f"{out.name}: share of weights rounded otherwise", share, 1e-3)


def check_logits(check, base, adapter, model, rows):
    """In float32, logits of the merged model equal PEFT's base plus adapter."""
    adapted = peft.PeftModel.from_pretrained(live.base_model(base), adapter).eval()
    with torch.no_grad():
        pairs = [(model(torch.tensor([ids])).logits, adapted(torch.tensor([ids])).logits)
                 for ids in rows]
    off = max(common.error(a, b)["max_rel"] for a, b in pairs)
    check.close(f"{base.name}: merged logits against PEFT", off, 1e-5)


def check_fp32(check, case):
    adapter = common.ADAPTERS / case.model
    base = copy_model(check, case.model)
    rows = live.random_rows(live.vocab_size(base))
    out = merge(check, base, adapter)
    check_logits(check, base, adapter, check_files(check, base, out), rows)
    check_values(check, base, adapter, out)
    sharded = merge(check, base, adapter, "--max-shard-gb", 0.00005)
    check.expect(len(list(sharded.glob("model-*.safetensors"))) > 1,
                 f"{base.name}: --max-shard-gb 0.00005 made no shards")
    left, right = tensors_of(out), tensors_of(sharded)
    check.expect(left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left),
                 f"{base.name}: shards hold other values than one file")
    check_files(check, base, sharded)
    for folder, file in ((f, name) for f in (base, out, sharded) for name in TOKENIZER_FILES):
        (folder / file).unlink()  # they name no real tokenizer
    truth = check.score(base, rows, adapter)
    for folder in (out, sharded):
        off = live.largest_difference(check.score(folder, rows), truth)
        check.close(f"{folder.name}: weft score merged against adapter", off,
                    live.LOGPROB_TOLERANCE)


def check_all(check):
    for case in lora.CASES:
        check_fp32(check, case)
    for name in ("tied_gqa1", "untied_gqa2"):
        base = copy_model(check, name, torch.bfloat16)
        out = merge(check, base, common.ADAPTERS / name)
        check_files(check, base, out)
        check_values(check, base, common.ADAPTERS / name, out, exact=True)


if __name__ == "__main__":
    live.main(check_all)
