"""Shards that `weft tokenize` wrote, opened with h5py.

    python shards_live.py --weft PATH

Trains a small tokenizer, tokenises plain text and chats, plain and compressed, then preference
pairs and judged answers, and hands the folders to shards_h5py.py. Leaves with 1 when it finds a difference.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weft", required=True)
    weft = str(pathlib.Path(parser.parse_args().weft).resolve())
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)

        def run(*command):
            subprocess.run(command, check=True, cwd=work)

        run(sys.executable, ROOT / "configs/quickstart/make_data.py", work / "data")
        run(weft, "tokenizer", "train", "data/corpus.txt", "--out", "tokenizer", "--vocab-size", "400")
        (work / "config.yaml").write_text(
            "model_name_or_path: tokenizer\noutput_dir: plain\nmax_length: 64\nshard_tokens: 20000\n"
            "datasets:\n  - path: data/corpus.txt\n  - path: data/chats_train.jsonl\n")
        run(weft, "tokenize", "config.yaml")
        run(weft, "tokenize", "config.yaml", "output_dir=packed", "compress=true")
        rows = [{"prompt": f"ask {i} ", "chosen": f"good {i}", "rejected": f"bad {i}"} for i in range(500)]
        (work / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        rows = [{"prompt": f"ask {i} ", "completion": "answer", "label": i % 3 == 0} for i in range(500)]
        (work / "judged.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        run(weft, "tokenize", "config.yaml", "output_dir=preferences", "shard_tokens=2000",
            "datasets=[data/corpus.txt, pairs.jsonl, judged.jsonl]")
        for shards in ("plain", "packed", "preferences"):
            run(sys.executable, ROOT / "tests/oracle/shards_h5py.py", "--shards", shards)


if __name__ == "__main__":
    main()
