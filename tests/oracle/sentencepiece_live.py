"""Holds what `weft tokenizer convert` writes to the BPE that it came from, through PyPI's libraries.

    python tests/oracle/sentencepiece_live.py --weft PATH --data FOLDER [--scale S]

FOLDER holds qwen3-tokenizer/ and gsm8k/. `sentencepiece` reads the model; `tokenizers` composes,
cuts and spells the text, and has the ids that are right. Leaves with 1 on any difference.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import sentencepiece
from tokenizer_corpus import corpus
from tokenizer_live import plain_tokenizer


def texts(data, scale):
    for line in (data / "gsm8k" / "test.jsonl").open(encoding="utf-8"):
        row = json.loads(line)
        yield "gsm8k", f"{row['question']}\n{row['answer']}"
    yield from corpus(scale)


def spelled_ids(model, tokenizer, text):
    text = tokenizer.normalizer.normalize_str(text)
    return [token for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)
            for token in model.encode(piece, out_type=int)]


def check_pieces(model, tokenizer, definition):
    """Every id names the same token, and one piece more is the unknown one."""
    wrong = [token for token, id_ in definition["model"]["vocab"].items()
             if model.id_to_piece(id_) != token]
    wrong += [t["content"] for t in definition["added_tokens"]
              if model.id_to_piece(t["id"]) != t["content"] or not model.is_control(t["id"])]
    last = max(t["id"] for t in definition["added_tokens"])
    if model.vocab_size() != last + 2 or not model.is_unknown(last + 1):
        wrong.append("<unk>")
    print(f"pieces: {model.vocab_size()}, {len(wrong)} differ {wrong[:3]}")
    return not wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weft", required=True)
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--scale", type=float, default=0.2)
    arguments = parser.parse_args()
    folder = arguments.data / "qwen3-tokenizer"
    definition = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer = plain_tokenizer(folder / "tokenizer.json")
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([arguments.weft, "tokenizer", "convert", "--model", folder, "--out", scratch],
                       check=True)
        model = sentencepiece.SentencePieceProcessor(model_file=f"{scratch}/tokenizer.model")
    counts = {}
    wrong = []
    for kind, text in texts(arguments.data, arguments.scale):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        counts[kind] = counts.get(kind, 0) + len(ids)
        if spelled_ids(model, tokenizer, text) != ids:
            wrong.append((kind, text))
    print(f"ids: {sum(counts.values()):,} tokens of {len(counts)} kinds, {len(wrong)} texts differ")
    for kind, text in wrong[:3]:
        print(f"  {kind}: {text!r:.300}")
    sys.exit(0 if check_pieces(model, tokenizer, definition) and not wrong else 1)


if __name__ == "__main__":
    main()
