"""Compares `weft tokenizer encode` and `decode` with Hugging Face's `tokenizers` on over 5 MB.

    python tests/oracle/tokenizer_live.py --weft PATH --data FOLDER

FOLDER holds qwen3-tokenizer/. Needs tokenizers==0.23.3. Leaves with 1 on any difference.
"""

import argparse
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import unicodedata

from tokenizers import Tokenizer
from tokenizer_corpus import corpus


def run(weft, arguments, rows):
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    done = subprocess.run([weft, "tokenizer", *arguments], input=lines.encode(),
                          stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.decode().split("\n")[:-1]]


def plain_tokenizer(path):
    """The same tokenizer without its added tokens: what encoding them as text means."""
    definition = json.loads(path.read_text(encoding="utf-8"))
    definition["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(definition))


def compare(what, texts, expected, found):
    wrong = [i for i, (a, b) in enumerate(zip(expected, found, strict=True)) if a != b]
    print(f"{what}: {len(expected)} rows, {len(wrong)} differ")
    for i in wrong[:3]:
        print(f"  row {i}: {texts[i]!r:.300}\n    expected {expected[i]!r:.300}\n"
              f"    found    {found[i]!r:.300}")
    return not wrong


def check_encode(weft, folder, kinds, texts):
    rows = [{"text": text} for text in texts]
    ok = True
    ids = None
    for mode in ("plain", "parse"):
        path = folder / "tokenizer.json"
        oracle = plain_tokenizer(path) if mode == "plain" else Tokenizer.from_file(str(path))
        ids = [e.ids for e in oracle.encode_batch(texts, add_special_tokens=False)]
        found = [row["ids"] for row in
                 run(weft, ["encode", "--model", folder, "--special", mode], rows)]
        ok &= compare(f"encode, {mode}", texts, ids, found)
    print(f"  {sum(map(len, ids)):,} tokens of {len(set(kinds))} kinds of text")
    return ok, ids


def check_parts(weft, folder, texts, ids):
    """vocab.json, merges.txt and tokenizer_config.json give the same ids as tokenizer.json."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("vocab.json", "merges.txt", "tokenizer_config.json"):
            shutil.copy(folder / name, scratch)
        rows = [{"text": text} for text in texts]
        found = run(weft, ["encode", "--model", scratch, "--special", "parse"], rows)
        return compare("encode from vocab.json", texts, ids, [row["ids"] for row in found])


def check_decode(weft, folder, ids, texts):
    oracle = Tokenizer.from_file(str(folder / "tokenizer.json"))
    rng = random.Random(7)
    size = oracle.get_vocab_size()
    noise = [[rng.randrange(size) for _ in range(rng.randrange(60))] for _ in range(3000)]
    noise += [[rng.randrange(size - 30, size + 200) for _ in range(20)] for _ in range(300)]
    cut = [row[rng.randrange(len(row)):][:30] for row in ids if row]
    ok = True
    for skip in (False, True):
        rows = noise + cut + ids
        found = run(weft, ["decode", "--model", folder, *(["--skip-special"] if skip else [])],
                    [{"ids": row} for row in rows])
        expected = [oracle.decode(row, skip_special_tokens=skip) for row in rows]
        ok &= compare(f"decode, skip_special {skip}", rows, expected, [r["text"] for r in found])
    whole = [row["text"] for row in run(weft, ["decode", "--model", folder],
                                        [{"ids": row} for row in ids])]
    composed = [oracle.normalizer.normalize_str(text) for text in texts]
    return ok and compare("round trip", texts, composed, whole)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weft", required=True)
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--scale", type=float, default=1.0)
    arguments = parser.parse_args()
    folder = arguments.data / "qwen3-tokenizer"
    kinds, texts = map(list, zip(*corpus(arguments.scale), strict=True))
    size = sum(len(text.encode()) for text in texts)
    print(f"corpus: {size:,} bytes, Unicode {unicodedata.unidata_version} in Python")
    ok, ids = check_encode(arguments.weft, folder, kinds, texts)
    ok &= check_parts(arguments.weft, folder, texts, ids)
    ok &= check_decode(arguments.weft, folder, ids, texts)
    if size < 5_000_000 * arguments.scale:
        print("the corpus is smaller than 5 MB")
        ok = False
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
