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


def rows(source, pool, chats):
    """Rows without end, no two the same."""
    number = 0
    while True:
        number += 1
        if chats:
            turns = [{"role": role, "content": f"{number} {source.choice(pool)}"}
                     for role in ("user", "assistant") * source.randrange(1, 4)]
            yield json.dumps({"messages": turns}, ensure_ascii=False) + "\n"
        else:
            yield f"{number} {source.choice(pool)} {source.choice(pool)}\n"


def write_corpus(folder, size):
    """Files of about `size` bytes in all, before compression."""
    source = random.Random(1)
    pool = [" ".join(source.choices(WORDS, k=source.randrange(5, 300))) for _ in range(5000)]
    written = 0
    for name in ("chats.jsonl", "chats.jsonl.gz", "text.txt", "text.txt.gz"):
        file = gzip.open(folder / name, "wb", 1) if name.endswith(".gz") else open(folder / name, "wb")
        part = 0
        with file:
            for row in rows(source, pool, name.startswith("chats")):
                part += file.write(row.encode())
                if part >= size // 4:
                    break
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
