"""Compares `weft tokenizer chat` with Qwen3's chat template on 10,000 random conversations.

    python tests/oracle/chat_live.py --weft PATH --data FOLDER

FOLDER holds qwen3-tokenizer/. Needs jinja2==3.1.6 and tokenizers==0.23.3. Compares texts; ids with
`tokenizers`, for texts that hold no tags; and the mask, found again in the text. Leaves with 1 on
any difference.
"""

import argparse
import json
import pathlib
import subprocess
import sys

from chat_random import CASES, conversations, expected_mask, template
from tokenizers import Tokenizer


def render(weft, folder, rows, *more):
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    done = subprocess.run([weft, "tokenizer", "chat", "--model", folder, *more],
                          input=lines.encode(), stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.decode().split("\n")[:-1]]


def report(what, rows, wrong):
    print(f"{what}: {len(rows)} conversations, {len(wrong)} differ")
    for i, expected, found in wrong[:3]:
        print(f"  {json.dumps(rows[i], ensure_ascii=False):.600}\n    expected {expected!r:.800}\n"
              f"    found    {found!r:.800}")
    return not wrong


def mask_of(encoding, spans):
    """A token is a target when it begins inside a span."""
    starts = [begin for begin, _ in encoding.offsets]
    return [int(any(begin <= at < end for begin, end in spans)) for at in starts]


def check_texts(what, rows, expected, found):
    pairs = enumerate(zip(expected, found, strict=True))
    return report(f"{what}: text", rows, [(i, a, b["text"]) for i, (a, b) in pairs if a != b["text"]])


def check_ids(what, rows, expected, found, tokenizer):
    encodings = tokenizer.encode_batch(expected, add_special_tokens=False)
    wrong_ids = []
    wrong_masks = []
    for i, (row, text, encoding, answer) in enumerate(
            zip(rows, expected, encodings, found, strict=True)):
        if encoding.ids != answer["ids"]:
            wrong_ids.append((i, encoding.ids, answer["ids"]))
            continue
        # Offsets of composed characters are those of the text before it was composed.
        mask = mask_of(encoding, expected_mask(row, text))
        if mask != answer["mask"]:
            wrong_masks.append((i, list(zip(encoding.tokens, mask)), answer["mask"]))
    return (report(f"{what}: ids", rows, wrong_ids)
            and report(f"{what}: mask", rows, wrong_masks))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weft", required=True)
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--count", type=int, default=10_000)
    arguments = parser.parse_args()
    folder = arguments.data / "qwen3-tokenizer"
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    jinja = template(folder / "chat_template.jinja")
    ok = True
    tagged = [*CASES.values(), *conversations(arguments.count)]
    expected = [jinja(row) for row in tagged]
    ok &= check_texts("with tags", tagged, expected, render(arguments.weft, folder, tagged))
    parsed = render(arguments.weft, folder, tagged, "--special", "parse")
    wrong = [(i, e.ids, row["ids"]) for i, (e, row) in enumerate(
        zip(tokenizer.encode_batch(expected, add_special_tokens=False), parsed, strict=True))
        if e.ids != row["ids"]]
    ok &= report("with tags, parsed: ids", tagged, wrong)
    rows = list(conversations(arguments.count, tags=0, seed=2))
    expected = [jinja(row) for row in rows]
    found = render(arguments.weft, folder, rows)
    ok &= check_texts("without tags", rows, expected, found)
    ok &= check_ids("without tags", rows, expected, found, tokenizer)
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
