"""Token files of Cerebras' Model Zoo as weft writes and reads them, against h5py and the layout alone.

    python cerebras_live.py --weft PATH

The layout is that of Cerebras/modelzoo's data_preprocessing and h5_map_dataset: shards are exported and their samples
taken apart by numpy; then samples that numpy lays out, of one document and packed, and a stream, are tokenised and
compared. Leaves with 1 when it finds a difference.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile

import h5py
import numpy

PAD = 0


def sample_of(documents, length, packed):
    """Documents are (ids, mask); the last one's last token is only a label."""
    ids = numpy.concatenate([document[0] for document in documents])
    mask = numpy.concatenate([document[1] for document in documents])
    lengths = [len(document[0]) for document in documents]
    lengths[-1] -= 1
    rows = [ids[:-1], mask[1:], ids[1:]]
    fills = [PAD, 0, PAD]
    if packed:
        rows += [numpy.concatenate([numpy.arange(n)[::-1] for n in lengths]),
                 numpy.concatenate([numpy.arange(n) for n in lengths])]
        fills += [0, 0]
    return numpy.stack([numpy.pad(row, (0, length - len(row)), constant_values=fill)
                        for row, fill in zip(rows, fills)])


def samples_in(folder):
    files = sorted(folder.glob("*.h5"))
    assert files
    samples = []
    for path in files:
        with h5py.File(path) as file:
            assert file["data"].dtype == numpy.int32
            assert file["data"].shape[0] == file.attrs["n_examples"]
            samples.append(file["data"][:])
    return numpy.concatenate(samples)


def documents_of(shards):
    documents = []
    for path in sorted(shards.glob("*.h5")):
        with h5py.File(path) as file:
            bounds = file["doc_offsets"][:]
            documents += [(file["tokens"][a:b].tolist(), file["mask"][a:b].tolist())
                          for a, b in zip(bounds, bounds[1:])]
    return documents


def check_export(samples, documents, length, packed):
    """What a trainer sees: for each position its input, label and whether it counts."""
    seen = []
    for sample in samples:
        assert sample.shape == (5 if packed else 3, length)
        if packed:
            starts = numpy.flatnonzero((sample[4] == 0) & ((sample[3] > 0) | (sample[1] > 0)))
        else:
            starts = [0]
        for start in starts:
            span = int(sample[3][start]) if packed else length - 1
            counted = numpy.flatnonzero(sample[1][start:start + span + 1])
            seen.append([(int(sample[0][start + p]), int(sample[2][start + p]), int(p)) for p in counted])
    wanted = [[(ids[p - 1], ids[p], p - 1) for p in range(1, len(ids)) if mask[p]] for ids, mask in documents]
    assert sorted(seen) == sorted(wanted)
    if not packed:
        assert seen == wanted


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weft", type=pathlib.Path, required=True)
    weft = parser.parse_args().weft.resolve()
    tokenizer = pathlib.Path(__file__).resolve().parents[1] / "fixtures" / "tokenizer" / "tiny_bpe"
    generator = numpy.random.default_rng(1)

    def document(most):
        ids = generator.integers(1, 200, generator.integers(2, most))
        mask = generator.integers(0, 2, len(ids))
        mask[0], mask[-1] = 0, 1
        return ids, mask

    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)

        def tokenize(data, out, more=""):
            (work / "t.yaml").write_text(f"model_name_or_path: {tokenizer}\ndatasets: [{data}]\n"
                                         f"output_dir: {out}\nshard_tokens: 700\n{more}")
            subprocess.run([weft, "tokenize", "t.yaml"], cwd=work, check=True)
            return documents_of(work / out)

        documents = [document(50) for _ in range(200)]
        with open(work / "rows.jsonl", "w") as rows:
            for ids, mask in documents:
                labels = numpy.where(mask, ids, -100)
                rows.write(json.dumps({"ids": ids.tolist(), "labels": labels.tolist()}) + "\n")
        made = tokenize("rows.jsonl", "shards")
        for packed in (False, True):
            out = "packed" if packed else "samples"
            command = [weft, "export", "--shards", "shards", "--to", "cerebras", "--out", out, "--max-length", "128"]
            subprocess.run(command + ["--packed"] * packed, cwd=work, check=True)
            samples = samples_in(work / out)
            check_export(samples, made, 128, packed)
            assert json.loads((work / out / "data_params.json").read_text())["post-process"]["n_examples"] == len(samples)
            back = tokenize(out, f"back-{out}")
            assert sorted(back) == sorted(made) and (packed or back == made)

        for packed, dtype in ((False, "<i4"), (True, "<i4"), (False, "<u2"), (True, "<i8")):
            groups = [[document(40) for _ in range(generator.integers(1, 4) if packed else 1)] for _ in range(60)]
            data = numpy.stack([sample_of(group, 128, packed) for group in groups]).astype(dtype)
            folder = work / f"in-{packed}-{dtype[1:]}"
            folder.mkdir()
            for part, some in enumerate(numpy.array_split(data, 3)):
                with h5py.File(folder / f"output_chunk_0_{part}.h5", "w") as file:
                    file.attrs["n_examples"] = len(some)
                    file.create_dataset("data", data=some, chunks=(1 if part else 7, *some.shape[1:]),
                                        compression="gzip" if part < 2 else None)
            wanted = [(ids.tolist(), mask.tolist()) for group in groups for ids, mask in group]
            assert tokenize(folder.name, f"shards-{folder.name}") == wanted, folder

        stream = generator.integers(0, 200, 1000)
        with h5py.File(work / "stream.h5", "w") as file:
            file.create_dataset("data", data=stream.astype("<u2"))
        pieces = tokenize("stream.h5", "shards-stream", "max_length: 64\n")
        targets = [t for ids, mask in pieces for t, counts in zip(ids, mask) if counts]
        assert targets == stream[1:].tolist() and max(len(ids) for ids, _ in pieces) == 64
    print("weft and numpy agree on", len(documents), "documents out, twice, and", 4 * 60, "samples and a stream in")


if __name__ == "__main__":
    main()
