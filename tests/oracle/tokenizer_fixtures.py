"""Writes tests/fixtures/tokenizer/: text with the ids that Hugging Face's `tokenizers` gives.

    python tests/oracle/tokenizer_fixtures.py --data FOLDER

FOLDER holds qwen3-tokenizer/. Needs tokenizers==0.23.3.

    qwen3_ids.jsonl   rows of the corpus with the real tokenizer's ids
    tiny_bpe/         a small tokenizer of the same kind, trained here, in both file forms
    tiny_bpe.jsonl    rows with its ids: "plain" and "parse"
"""

import argparse
import json
import pathlib

from tokenizer_corpus import SENTENCES, corpus
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, trainers

OUT = pathlib.Path(__file__).resolve().parents[1] / "fixtures" / "tokenizer"
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TAGS = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>"]


def without_added(text):
    definition = json.loads(text)
    definition["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(definition))


def write_rows(path, tokenizer, texts):
    plain = without_added(tokenizer.to_str())
    with path.open("w", encoding="utf-8") as file:
        for text in texts:
            row = {"text": text, "plain": plain.encode(text, add_special_tokens=False).ids,
                   "parse": tokenizer.encode(text, add_special_tokens=False).ids}
            if row["parse"] == row["plain"]:
                del row["parse"]
            file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")


def sample(step, longest):
    """Every so manieth row, cut to a length."""
    for i, (_, text) in enumerate(corpus()):
        if i % step == 0:
            yield text[:longest]


def train_tiny(pattern):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=256 + 400, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(list(SENTENCES.values()) * 3, trainer)
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.add_tokens([AddedToken(tag, normalized=False) for tag in TAGS])
    return tokenizer


def write_parts(tokenizer, folder):
    """The older form: vocab.json, merges.txt and the added tokens of tokenizer_config.json."""
    definition = json.loads(tokenizer.to_str())
    vocab = definition["model"]["vocab"]
    merges = [m if isinstance(m, str) else " ".join(m) for m in definition["model"]["merges"]]
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    decoder = {str(t["id"]): {k: v for k, v in t.items() if k != "id"}
               for t in definition["added_tokens"]}
    config = {"added_tokens_decoder": decoder, "add_prefix_space": False,
              "tokenizer_class": "Qwen2Tokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=pathlib.Path)
    real_path = parser.parse_args().data / "qwen3-tokenizer" / "tokenizer.json"
    real = Tokenizer.from_file(str(real_path))
    tiny_folder = OUT / "tiny_bpe"
    tiny_folder.mkdir(parents=True, exist_ok=True)
    write_rows(OUT / "qwen3_ids.jsonl", real, sample(step=29, longest=400))
    split = json.loads(real_path.read_text(encoding="utf-8"))["pre_tokenizer"]["pretokenizers"][0]
    tiny = train_tiny(split["pattern"]["Regex"])
    tiny.save(str(tiny_folder / "tokenizer.json"), pretty=False)
    write_parts(tiny, tiny_folder)
    write_rows(OUT / "tiny_bpe.jsonl", tiny, sample(step=97, longest=200))


if __name__ == "__main__":
    main()
