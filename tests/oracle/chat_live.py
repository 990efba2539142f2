"""Compares `weft tokenizer chat` with Qwen3's chat templates on random conversations.

    python tests/oracle/chat_live.py --weft PATH --data FOLDER [--count N] [--template NAME=FILE]

N conversations for each of the three formats, and as many again that hold no tags. FOLDER holds
qwen3-tokenizer/. The templates of Instruct-2507 and Thinking-2507 are made from the hybrid's, as
chat_random.py says, unless --template gives theirs. Needs jinja2==3.1.6 and tokenizers==0.23.3. Compares texts; ids with
`tokenizers`, for texts that hold no tags; and the mask, found again in the text. Leaves with 1 on
any difference.
"""

import argparse
import json
import pathlib
import subprocess
import sys

from chat_random import CASES, conversations, expected_mask, templates
from tokenizers import Tokenizer


def prefilled(name, row):
    """What the prompt has already written of an answer that begins so."""
    if name == "qwen3-thinking-2507":
        return "<think>\n"
    off = name == "qwen3" and row.get("enable_thinking") is False
    return "<think>\n\n</think>\n\n" if off else ""


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


def check_ids(what, rows, expected, found, tokenizer, name):
    encodings = tokenizer.encode_batch(expected, add_special_tokens=False)
    wrong_ids = []
    wrong_masks = []
    for i, (row, text, encoding, answer) in enumerate(
            zip(rows, expected, encodings, found, strict=True)):
        if encoding.ids != answer["ids"]:
            wrong_ids.append((i, encoding.ids, answer["ids"]))
            continue
        # Offsets of composed characters are those of the text before it was composed.
        mask = mask_of(encoding, expected_mask(row, text, prefilled(name, row)))
        if mask != answer["mask"]:
            wrong_masks.append((i, list(zip(encoding.tokens, mask)), answer["mask"]))
    return (report(f"{what}: ids", rows, wrong_ids)
            and report(f"{what}: mask", rows, wrong_masks))


def check_format(weft, folder, name, jinja, tokenizer, count):
    choose = ("--chat-template", name)
    tagged = [*CASES.values(), *conversations(count)]
    expected = [jinja(row) for row in tagged]
    ok = check_texts(f"{name}, with tags", tagged, expected, render(weft, folder, tagged, *choose))
    parsed = render(weft, folder, tagged, "--special", "parse", *choose)
    wrong = [(i, e.ids, row["ids"]) for i, (e, row) in enumerate(
        zip(tokenizer.encode_batch(expected, add_special_tokens=False), parsed, strict=True))
        if e.ids != row["ids"]]
    ok &= report(f"{name}, with tags, parsed: ids", tagged, wrong)
    rows = list(conversations(count, tags=0, seed=2))
    expected = [jinja(row) for row in rows]
    found = render(weft, folder, rows, *choose)
    ok &= check_texts(f"{name}, without tags", rows, expected, found)
    return ok and check_ids(f"{name}, without tags", rows, expected, found, tokenizer, name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weft", required=True)
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--template", action="append", default=[], metavar="NAME=FILE")
    arguments = parser.parse_args()
    folder = arguments.data / "qwen3-tokenizer"
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    formats = templates(folder / "chat_template.jinja", arguments.template)
    ok = [check_format(arguments.weft, folder, name, jinja, tokenizer, arguments.count)
          for name, jinja in formats.items()]
    sys.exit(0 if all(ok) else 1)


if __name__ == "__main__":
    main()
