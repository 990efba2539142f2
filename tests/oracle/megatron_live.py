"""Megatron's .bin and .idx as weft writes and reads them, against a reader written from the format alone.

    python megatron_live.py --weft PATH

The layout is that of NVIDIA/Megatron-LM's indexed_dataset.py: shards are exported and compared with what h5py finds in
them, then a pair that numpy writes, with several sequences in a document, is tokenised and compared. Leaves with 1
when it finds a difference.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile

import h5py
import numpy

MAGIC = b"MMIDIDX\x00\x00"
DTYPES = {1: "u1", 2: "i1", 3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2"}


def read_pair(name):
    """The documents of NAME.bin, as lists of ids."""
    index = name.with_suffix(".idx").read_bytes()
    assert index[:9] == MAGIC
    version, code = numpy.frombuffer(index, "<u8", 1, 9)[0], index[17]
    sequences, bounds = numpy.frombuffer(index, "<u8", 2, 18)
    assert version == 1
    lengths = numpy.frombuffer(index, "<i4", sequences, 34)
    places = numpy.frombuffer(index, "<i8", sequences, 34 + 4 * int(sequences))
    firsts = numpy.frombuffer(index, "<i8", bounds, 34 + 12 * int(sequences))
    data = name.with_suffix(".bin").read_bytes()
    parts = [numpy.frombuffer(data, DTYPES[code], count, place) for count, place in zip(lengths, places)]
    return [numpy.concatenate(parts[a:b]).tolist() for a, b in zip(firsts, firsts[1:])]


def write_pair(name, documents, code):
    """Documents are lists of sequences."""
    sequences = [sequence for document in documents for sequence in document]
    data = b"".join(numpy.array(sequence, DTYPES[code]).tobytes() for sequence in sequences)
    width = numpy.dtype(DTYPES[code]).itemsize
    lengths = [len(sequence) for sequence in sequences]
    places = numpy.cumsum([0] + [width * length for length in lengths[:-1]])
    firsts = numpy.cumsum([0] + [len(document) for document in documents])
    name.with_suffix(".bin").write_bytes(data)
    name.with_suffix(".idx").write_bytes(
        MAGIC + numpy.array([1], "<u8").tobytes() + bytes([code])
        + numpy.array([len(sequences), len(firsts)], "<u8").tobytes()
        + numpy.array(lengths, "<i4").tobytes() + places.astype("<i8").tobytes()
        + firsts.astype("<i8").tobytes())


def documents_of(shards):
    documents = []
    for path in sorted(shards.glob("*.h5")):
        with h5py.File(path) as file:
            bounds = file["doc_offsets"][:]
            documents += [file["tokens"][a:b].tolist() for a, b in zip(bounds, bounds[1:])]
    return documents


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weft", type=pathlib.Path, required=True)
    weft = parser.parse_args().weft.resolve()
    tokenizer = pathlib.Path(__file__).resolve().parents[1] / "fixtures" / "tokenizer" / "tiny_bpe"
    generator = numpy.random.default_rng(1)

    def sequence():
        return generator.integers(0, 200, generator.integers(2, 50)).tolist()

    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)

        def tokenize(data, out):
            (work / "t.yaml").write_text(f"model_name_or_path: {tokenizer}\ndatasets: [{data}]\n"
                                         f"output_dir: {out}\nshard_tokens: 500\n")
            subprocess.run([weft, "tokenize", "t.yaml"], cwd=work, check=True)

        rows = [sequence() for _ in range(100)]
        (work / "rows.jsonl").write_text(
            "".join(json.dumps({"ids": ids, "labels": ids}) + "\n" for ids in rows))
        tokenize("rows.jsonl", "shards")
        subprocess.run([weft, "export", "--shards", "shards", "--to", "megatron", "--out", "c"],
                       cwd=work, check=True)
        assert read_pair(work / "c") == documents_of(work / "shards") == rows
        for code in (1, 3, 4, 5, 8):
            documents = [[sequence() for _ in range(generator.integers(1, 4))] for _ in range(40)]
            write_pair(work / f"m{code}", documents, code)
            tokenize(f"m{code}.idx", f"from{code}")
            wanted = [sum(document, []) for document in documents]
            assert documents_of(work / f"from{code}") == wanted, code
    print("weft and numpy agree on", len(rows), "documents out and", 5 * 40, "in")


if __name__ == "__main__":
    main()
