"""Writes tests/fixtures/inputs/: small files in the formats that weft reads, made by the formats' own Python libraries.

    pip install pyarrow==26.0.1 zstandard==0.25.0
    python tests/oracle/input_fixtures.py [FOLDER]

expected.json holds what is in the files, as Python reads it.
"""

import csv
import gzip
import hashlib
import io
import json
import pathlib
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

ROWS = [{"text": f"row {i} " + "é漢😀"[i % 3] * (i % 7), "number": i} for i in range(400)]


def jsonl(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def write_compressed(folder):
    data = jsonl(ROWS)
    half = data.index(b"\n", len(data) // 2) + 1
    halves = [data[:half], data[half:]]
    (folder / "rows.jsonl.gz").write_bytes(gzip.compress(data, mtime=0))
    (folder / "members.jsonl.gz").write_bytes(b"".join(gzip.compress(part, mtime=0) for part in halves))
    # A file name, and zeros after the last member, as tape drives leave them.
    named = io.BytesIO()
    with gzip.GzipFile("original name.jsonl", "wb", 9, named, mtime=0) as file:
        file.write(data)
    (folder / "named_padded.jsonl.gz").write_bytes(named.getvalue() + bytes(512))
    plain = zstandard.ZstdCompressor(level=3, write_checksum=True)
    (folder / "rows.jsonl.zst").write_bytes(plain.compress(data))
    skippable = b"\x5a\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
    unsized = zstandard.ZstdCompressor(level=19, write_content_size=False)
    (folder / "frames.jsonl.zst").write_bytes(skippable + b"".join(unsized.compress(part) for part in halves))
    return ROWS


def write_csv(folder):
    rows = [
        {"question": "plain", "answer": "words", "note": ""},
        {"question": 'quotes "inside"', "answer": "commas, too", "note": "tab\there"},
        {"question": "two\nlines", "answer": "carriage\r\nreturn", "note": "é漢😀"},
        {"question": "", "answer": '"', "note": "back\\slash"},
        {"question": " spaces ", "answer": "x" * 300, "note": "last"},
    ]
    for name, dialect in (("rows.csv", "excel"), ("rows.tsv", "excel-tab")):
        with open(folder / name, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0], dialect=dialect)
            writer.writeheader()
            writer.writerows(rows)
    with open(folder / "rows.csv", newline="", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == rows
    return rows


def write_parquet(folder):
    """Rows as weft is to give them: without the nulls that Arrow puts into structs."""
    chats = [
        {
            "id": i,
            "messages": [
                {"role": "user", "content": f"What is {i} + {i}? 漢"},
                {"role": "assistant", "content": None, "tool_calls": [{"name": "add", "arguments": f'{{"n": {i}}}'}]}
                if i % 5 == 0
                else {"role": "assistant", "content": str(2 * i)},
            ],
            "score": i / 4,
            "good": i % 2 == 0,
            "note": None if i % 3 == 0 else f"note {i % 4}",
            "counts": {"a": [i, i + 1], "b": []},
        }
        for i in range(600)
    ]
    table = pa.Table.from_pylist(chats)
    column = table.schema.get_field_index("note")
    table = table.set_column(column, "note", table.column("note").dictionary_encode())
    pq.write_table(table, folder / "chats.parquet", row_group_size=250, compression="zstd")
    odd = pa.table(
        {
            "large": pa.array(["a", None, "c"], pa.large_string()),
            "bytes": pa.array([b"x", b"y", b"z"], pa.binary()),
            "small": pa.array([-128, 0, 127], pa.int8()),
            "big": pa.array([0, 1, 2**64 - 1], pa.uint64()),
            "fixed": pa.array([[1, 2], [3, 4], None], pa.list_(pa.int32(), 2)),
            "map": pa.array([[("k", 1)], [], [("m", 2), ("n", None)]], pa.map_(pa.string(), pa.int64())),
            "day": pa.array([0, 1, None], pa.date32()),
        }
    )
    pq.write_table(odd, folder / "odd.parquet", compression="snappy", store_schema=True)
    expected = [
        {"large": "a", "bytes": "x", "small": -128, "big": 0, "fixed": [1, 2], "map": {"k": 1}, "day": "1970-01-01"},
        {"large": None, "bytes": "y", "small": 0, "big": 1, "fixed": [3, 4], "map": {}, "day": "1970-01-02"},
        {"large": "c", "bytes": "z", "small": 127, "big": 2**64 - 1, "fixed": None, "map": {"m": 2, "n": None}, "day": None},
    ]
    for chat in chats:
        chat["messages"] = [{k: v for k, v in message.items() if v is not None} for message in chat["messages"]]
    assert [row["id"] for row in pq.read_table(folder / "chats.parquet").to_pylist()] == list(range(600))
    return {"chats": [dump_hash(row) for row in chats], "odd": expected}


def dump_hash(row):
    """The row in little space; keys sorted, because a reader of structs may give them in another order."""
    return hashlib.sha256(json.dumps(row, ensure_ascii=False, sort_keys=True).encode()).hexdigest()[:8]


def main():
    default = pathlib.Path(__file__).parent.parent / "fixtures" / "inputs"
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    folder.mkdir(parents=True, exist_ok=True)
    expected = {"compressed": write_compressed(folder), "csv": write_csv(folder), "parquet": write_parquet(folder)}
    (folder / "expected.json").write_text(json.dumps(expected, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
