"""Real text to time tokenizers on: english.jsonl, code.jsonl and chinese.jsonl, a {"text"} a line.

    python benchmarks/tokenizer_corpora.py --data FOLDER --out FOLDER

--data holds gsm8k/. English is GSM8K, the Debian handbook and fortunes; code is Python's standard
library; Chinese is LibreOffice's help, the Debian handbook and reference, and manual pages. The
packages come from `apt-get download`, are unpacked into --out, and are not installed.
"""

import argparse
import gzip
import html
import json
import pathlib
import re
import subprocess
import sysconfig

PACKAGES = ("fortunes", "debian-handbook", "debian-reference-zh-cn", "libreoffice-help-zh-cn",
            "manpages-zh")
MOST_BYTES = 12_000_000  # of each corpus
LONGEST = 20_000  # characters of a document


def fetch(out):
    root = out / "packages"
    if not root.exists():
        root.mkdir(parents=True)
        subprocess.run(["apt-get", "download", *PACKAGES], cwd=root, check=True)
        for package in sorted(root.glob("*.deb")):
            subprocess.run(["dpkg", "-x", package, root], check=True)
    return root / "usr/share"


def html_text(path):
    text = path.read_text(encoding="utf-8", errors="replace")
    text = re.sub(r"(?s)<(script|style|head).*?</\1>|<!--.*?-->", "", text)
    text = html.unescape(re.sub(r"<[^>]*>", "", text))
    return re.sub(r"[ \t]*\n\s*\n\s*", "\n\n", text).strip()


def manual_text(path):
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
        lines = [line for line in file if not line.startswith((".\\\"", "'\\\""))]
    text = re.sub(r"(?m)^\.\w+ ?", "", "".join(lines))
    return re.sub(r"\\f.|\\-|\\&", "", text)


def html_files(folder):
    return [html_text(path) for path in sorted(folder.rglob("*.html"))]


def english(data, share):
    for split in ("train", "test"):
        for line in (data / "gsm8k" / f"{split}.jsonl").open(encoding="utf-8"):
            row = json.loads(line)
            yield f"{row['question']}\n{row['answer']}"
    yield from html_files(share / "doc/debian-handbook/html/en-US")
    for path in sorted((share / "games/fortunes").rglob("*")):
        if path.is_file() and not path.is_symlink() and path.suffix not in (".dat", ".u8"):
            yield from path.read_text(encoding="utf-8", errors="replace").split("\n%\n")


def code(_data, _share):
    for path in sorted(pathlib.Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")):
        if "site-packages" not in path.parts and "dist-packages" not in path.parts:
            yield path.read_text(encoding="utf-8", errors="replace")


def chinese(_data, share):
    yield from html_files(share / "doc/debian-handbook/html/zh-CN")
    yield from html_files(share / "debian-reference")
    for path in sorted((share / "man/zh_CN").rglob("*.gz")):
        yield manual_text(path)
    yield from html_files(share / "libreoffice")


def is_chinese(text):
    return sum("\u4e00" <= c <= "\u9fff" for c in text) > len(text) / 4


def write(path, texts, keep=lambda text: True):
    size = 0
    with path.open("w", encoding="utf-8") as file:
        for whole in texts:
            for at in range(0, len(whole), LONGEST):
                text = whole[at:at + LONGEST]
                if not text.strip() or not keep(text):
                    continue
                file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
                size += len(text.encode())
                if size >= MOST_BYTES:
                    return
    print(f"{path}: {size:,} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    arguments = parser.parse_args()
    share = fetch(arguments.out)
    for name, texts in (("english", english), ("code", code), ("chinese", chinese)):
        write(arguments.out / f"{name}.jsonl", texts(arguments.data, share),
              is_chinese if name == "chinese" else lambda text: True)


if __name__ == "__main__":
    main()
