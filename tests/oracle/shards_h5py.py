"""Opens a folder of token shards with h5py and holds it against its shards.json.

    shards_h5py.py --shards DIR

Leaves with 1 and a line for each difference: an attribute, type, extent, offset, token, mask, sum, size or
checksum that is not what data/shard_format.h and shards.json say.
"""

import argparse
import hashlib
import json
import pathlib
import sys

import h5py
import numpy as np

DATASETS = {"tokens": "<i4", "mask": "|u1", "doc_offsets": "<i8", "source": "<u2"}
OPTIONAL = {"pair": "<i8", "label": "|i1"}
COUNTS = ("documents", "tokens", "trained_tokens")
MAX_CHUNK = 64 * 1024


class Checker:
    def __init__(self):
        self.problems = []

    def equal(self, where, what, found, expected):
        if found != expected:
            self.problems.append(f"{where}: {what} is {found!r}, expected {expected!r}")

    def true(self, where, what, condition):
        if not condition:
            self.problems.append(f"{where}: {what}")


def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def check_attributes(check, name, file, manifest, entry):
    attributes = file.attrs
    check.equal(name, "format", text(attributes["format"]), "weft.tokens")
    check.equal(name, "version", int(attributes["version"]), 1)
    check.equal(name, "complete", int(attributes["complete"]), 1)
    check.equal(name, "vocab_size", int(attributes["vocab_size"]), manifest["vocab_size"])
    for key in ("tokenizer_sha256", "fingerprint"):
        check.equal(name, key, text(attributes[key]), manifest[key])
    for key in COUNTS:
        check.equal(name, key, int(attributes[key]), entry[key])


def check_layout(check, name, file, entry):
    documents, tokens = entry["documents"], entry["tokens"]
    extents = {"tokens": tokens, "mask": tokens, "doc_offsets": documents + 1, "source": documents}
    present = {key: kind for key, kind in OPTIONAL.items() if key in file}
    extents.update({key: documents for key in present})
    check.equal(name, "members", sorted(file.keys()), sorted(DATASETS | present))
    for key, kind in (DATASETS | present).items():
        dataset = file[key]
        check.equal(name, f"{key} type", dataset.dtype.str, kind)
        check.equal(name, f"{key} shape", dataset.shape, (extents[key],))
        check.equal(name, f"{key} chunks", dataset.chunks, (min(MAX_CHUNK, extents[key]),))
        check.equal(name, f"{key} shuffle with gzip", dataset.shuffle, dataset.compression == "gzip")
        check.true(name, f"{key} has filter {dataset.compression}",
                   dataset.compression in (None, "gzip"))


def check_values(check, name, file, manifest, entry):
    tokens, mask = file["tokens"][:], file["mask"][:]
    offsets, source = file["doc_offsets"][:], file["source"][:]
    check.true(name, "a token is outside the vocabulary",
               tokens.min() >= 0 and tokens.max() < manifest["vocab_size"])
    check.true(name, "a mask is neither 0 nor 1", mask.max() <= 1)
    check.equal(name, "sum of mask", int(mask.sum(dtype=np.int64)), entry["trained_tokens"])
    check.equal(name, "first and last offset", (int(offsets[0]), int(offsets[-1])),
                (0, entry["tokens"]))
    check.true(name, "offsets do not increase", bool((np.diff(offsets) > 0).all()))
    check.true(name, "a document's first token is a target", not mask[offsets[:-1]].any())
    check.true(name, "a document has no target",
               bool(np.add.reduceat(mask, offsets[:-1], dtype=np.int64).all()))
    sources = max(1, len(manifest["sources"]))
    check.true(name, f"a source is not one of {sources}", int(source.max()) < sources)


def check_preferences(check, name, file):
    if "pair" in file:
        pair = file["pair"][:]
        chosen = np.flatnonzero(pair == np.arange(len(pair)))
        expected = np.full(len(pair), -1)
        expected[chosen] = chosen
        expected[chosen + 1] = chosen
        check.true(name, "pair is not two neighbours each", len(chosen) > 0 and bool((pair == expected).all()))
    if "label" in file:
        label = file["label"][:]
        check.true(name, "label is not -1, 0 or 1", bool(((label >= -1) & (label <= 1)).all() and (label >= 0).any()))


def check_shard(check, folder, manifest, entry):
    path = folder / entry["file"]
    data = path.read_bytes()
    check.equal(entry["file"], "size", len(data), entry["bytes"])
    check.equal(entry["file"], "sha256", hashlib.sha256(data).hexdigest(), entry["sha256"])
    with h5py.File(path, "r") as file:
        check_attributes(check, entry["file"], file, manifest, entry)
        check_layout(check, entry["file"], file, entry)
        check_values(check, entry["file"], file, manifest, entry)
        check_preferences(check, entry["file"], file)


def check_manifest(check, folder, manifest):
    name = "shards.json"
    check.equal(name, "format", manifest["format"], "weft.shards")
    listed = sorted(entry["file"] for entry in manifest["shards"])
    check.equal(name, "files", listed, sorted(path.name for path in folder.glob("*.h5")))
    for key in COUNTS:
        check.equal(name, key, manifest[key], sum(entry[key] for entry in manifest["shards"]))
        if manifest["sources"]:
            check.equal(name, f"{key} of sources", manifest[key],
                        sum(source[key] for source in manifest["sources"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", required=True, type=pathlib.Path)
    folder = parser.parse_args().shards
    manifest = json.loads((folder / "shards.json").read_text())
    check = Checker()
    check_manifest(check, folder, manifest)
    for entry in manifest["shards"]:
        try:
            check_shard(check, folder, manifest, entry)
        except (OSError, KeyError) as error:
            check.problems.append(f"{entry['file']}: {error}")
    print("\n".join(check.problems) or
          f"{folder}: {len(manifest['shards'])} shards, {manifest['documents']} documents, "
          f"{manifest['tokens']} tokens: all as shards.json says")
    return 1 if check.problems else 0


if __name__ == "__main__":
    sys.exit(main())
