"""Greedy generation gives transformers' text, with and without an adapter, and stops where it does.

The model's tokens are single bytes, and rows of the head for bytes that are not printable ASCII
are zero, so that greedy text can be compared as text.
"""

import json

import live_common as live
import lora_fixtures as lora
import model_common as common
import peft
import tokenizers
import torch
import transformers

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
NEW_TOKENS = 40
PROMPTS = ["a", "The weft is", "1 + 1 = ", "x" * 50]


def byte_symbols():
    """The printable stand-in of each byte in a byte-level vocabulary, GPT-2's table."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [byte for byte in range(256) if byte not in plain]
    symbols = dict(zip(plain, map(chr, plain)))
    symbols |= {byte: chr(256 + i) for i, byte in enumerate(other)}
    return [symbols[byte] for byte in range(256)]


def write_tokenizer(folder):
    """A byte-level BPE of 256 bytes and one merge that no ASCII text uses."""
    symbols = byte_symbols()
    vocab = {symbol: position for position, symbol in enumerate(symbols)}
    merge = (symbols[0xC3], symbols[0xA9])
    vocab["".join(merge)] = len(vocab)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocab, merges=[merge]))
    split = tokenizers.Regex(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+")
    tokenizer.normalizer = tokenizers.normalizers.NFC()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([
        tokenizers.pre_tokenizers.Split(split, "isolated"),
        tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens([tokenizers.AddedToken(name, special=True, normalized=False)
                                  for name in SPECIALS])
    tokenizer.save(str(folder / "tokenizer.json"))
    common.save_json({"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>",
                      "pad_token": "<|endoftext|>"}, folder / "tokenizer_config.json")
    return tokenizer


def write_model(folder, vocab, ends):
    """A random untied model that prints ASCII; `ends` are its end tokens."""
    folder.mkdir()
    torch.manual_seed(4)
    config = transformers.Qwen3Config(
        vocab_size=vocab, hidden_size=48, intermediate_size=101, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=16, initializer_range=0.2,
        max_position_embeddings=512, tie_word_embeddings=False, bos_token_id=None,
        eos_token_id=ends[0], pad_token_id=None)
    model = transformers.Qwen3ForCausalLM(config)
    with torch.no_grad():
        silent = torch.ones(vocab, dtype=torch.bool)
        silent[32:127] = False
        model.lm_head.weight[silent] = 0
    model.save_pretrained(folder)
    common.save_json({"eos_token_id": ends, "do_sample": True, "temperature": 0.6},
                     folder / "generation_config.json")


def greedy(model, ids, ends):
    """New ids by running the whole sequence anew for each: no cache to be wrong."""
    ids = list(ids)
    start = len(ids)
    with torch.no_grad():
        while len(ids) - start < NEW_TOKENS:
            ids.append(int(model(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
            if ids[-1] in ends:
                break
    return ids[start:]


def generate(check, folder, adapter, *arguments, stdin=None):
    """weft's greedy continuation; only that is written to stdout."""
    extra = [] if adapter is None else ["--adapter", adapter]
    return check.weft("generate", "--model", folder, *extra, "--greedy", "--dtype", "fp32",
                      "--max-new-tokens", NEW_TOKENS, *arguments, stdin=stdin)


def generate_ids(check, folder, prompts, adapter):
    """New ids of all prompts, given as ids; the end token is one of them, as in transformers."""
    lines = "".join(json.dumps({"ids": ids}) + "\n" for ids in prompts)
    out = generate(check, folder, adapter, "--json", stdin=lines)
    return [json.loads(line)["ids"] for line in out.splitlines()]


def make_adapter(model, folder):
    """A PEFT adapter that changes what is said."""
    adapted = peft.get_peft_model(model, peft.LoraConfig(
        r=4, lora_alpha=8, target_modules=list(lora.ALL), task_type="CAUSAL_LM"))
    lora.fill(adapted, 9)
    lora.save_adapter(adapted, folder)


def compare(check, what, folder, tokenizer, ends, adapter=None):
    """Every prompt, as ids and as text; returns transformers' continuations as ids."""
    model = (live.base_model(folder) if adapter is None else live.adapted_model(folder, adapter))
    prompts = [tokenizer.encode(prompt).ids for prompt in PROMPTS]
    answers = [greedy(model, ids, ends) for ids in prompts]
    made = generate_ids(check, folder, prompts, adapter)
    check.expect(made == answers, f"{what}: weft's ids {made}, expected {answers}")
    for prompt, ids in zip(PROMPTS, answers):
        text = generate(check, folder, adapter, "--prompt", prompt).removesuffix("\n")
        expected = tokenizer.decode(ids)
        same = check.expect(text == expected, f"{what}: after {prompt!r} weft says {text!r}, "
                            f"expected {expected!r}")
        print(f"{what}: {prompt!r}: {len(ids)} tokens {'equal' if same else 'differ'}")
    return answers


def check_all(check):
    folder, adapter = check.work / "model", check.work / "adapter"
    ends = [258, 260]
    write_model(folder, 264, ends)
    tokenizer = write_tokenizer(folder)
    answers = compare(check, "base", folder, tokenizer, ends)
    make_adapter(live.base_model(folder), adapter)
    adapted = compare(check, "adapter", folder, tokenizer, ends, adapter)
    check.expect(answers != adapted, "the adapter changes nothing, so nothing was shown")
    early = [answers[0][NEW_TOKENS // 4], answers[1][NEW_TOKENS // 2]]
    config = json.loads((folder / "generation_config.json").read_text())
    common.save_json({**config, "eos_token_id": early}, folder / "generation_config.json")
    stopped = compare(check, "early end", folder, tokenizer, early)
    check.expect(len(stopped[0]) < NEW_TOKENS, "no answer ended early, so nothing was shown")


if __name__ == "__main__":
    live.main(check_all)
