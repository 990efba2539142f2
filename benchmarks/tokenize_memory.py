"""How much memory `weft tokenize` takes for a corpus of a given size.

    python3 benchmarks/tokenize_memory.py --weft PATH --model FOLDER [--megabytes 1000] [--limit-megabytes 600]

Writes chats and text, half compressed, into a scratch folder, tokenises them with deduplication, prints one JSON object with
the largest resident set, and leaves with 1 when that is above the limit. Needs no Python library.
"""

import argparse
import gzip
import json
import pathlib
import random
import resource
import subprocess
import sys
import tempfile
import time

WORDS = ("the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which "
         "weft warp loom thread shuttle cloth pattern 经 纬 线 naïve Größe 2,048 x = y + 1; return {\"key\": None}").split()


def text(source, words):
    return " ".join(source.choices(WORDS, k=words))


def write_corpus(folder, size):
    """Files of about `size` bytes in all, before compression; no two rows the same."""
    source = random.Random(1)
    written = 0
    for number, (name, opener) in enumerate((("chats.jsonl", open), ("chats.jsonl.gz", gzip.open), ("text.txt", open),
                                             ("text.txt.gz", gzip.open))):
        with opener(folder / name, "wt", encoding="utf-8") as file:
            part = 0
            while part < size // 4:
                if number < 2:
                    turns = [{"role": role, "content": text(source, source.randrange(5, 200))}
                             for role in ("user", "assistant") * source.randrange(1, 4)]
                    line = json.dumps({"messages": turns}, ensure_ascii=False) + "\n"
                else:
                    line = text(source, source.randrange(5, 400)) + "\n"
                file.write(line)
                part += len(line.encode())
        written += part
    return written


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weft", required=True)
    parser.add_argument("--model", required=True, help="folder with the tokenizer's files")
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--limit-megabytes", type=int, default=600)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        (folder / "in").mkdir()
        size = write_corpus(folder / "in", options.megabytes * 1_000_000)
        datasets = [str(path) for path in sorted((folder / "in").iterdir())]
        config = {"model_name_or_path": options.model, "output_dir": str(folder / "shards"), "deduplicate": True,
                  "datasets": datasets}
        (folder / "config.yaml").write_text(json.dumps(config))
        began = time.monotonic()
        subprocess.run([options.weft, "tokenize", folder / "config.yaml"], check=True, stdout=sys.stderr)
        seconds = time.monotonic() - began
        manifest = json.loads((folder / "shards" / "shards.json").read_text())
    resident = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(json.dumps({"corpus_bytes": size, "tokens": manifest["tokens"], "documents": manifest["documents"],
                      "seconds": round(seconds, 1), "max_resident_bytes": resident}))
    return resident > options.limit_megabytes * 1_000_000


if __name__ == "__main__":
    sys.exit(main())
