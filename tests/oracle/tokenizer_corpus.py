"""Text to hold tokenizers against each other: the same rows on every machine.

`corpus(scale)` yields (kind, text); at scale 1 it is more than 5 MB of UTF-8.
"""

import pathlib
import random
import unicodedata

# The first article of the Universal Declaration of Human Rights.
SENTENCES = {
    "english": "All human beings are born free and equal in dignity and rights. They are endowed "
    "with reason and conscience and should act towards one another in a spirit of brotherhood.",
    "german": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit "
    "Vernunft und Gewissen begabt und sollen einander im Geist der Brüderlichkeit begegnen.",
    "vietnamese": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền lợi.",
    "russian": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены "
    "разумом и совестью и должны поступать в отношении друг друга в духе братства.",
    "greek": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.",
    "arabic": "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق. وقد وهبوا عقلاً وضميرًا وعليهم "
    "أن يعامل بعضهم بعضًا بروح الإخاء.",
    "hebrew": "כל בני אדם נולדו בני חורין ושווים בערכם ובזכויותיהם. כולם חוננו בתבונה ובמצפון.",
    "hindi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।",
    "bengali": "সমস্ত মানুষ স্বাধীনভাবে সমান মর্যাদা এবং অধিকার নিয়ে জন্মগ্রহণ করে।",
    "tamil": "மனிதப் பிறிவியினர் சகலரும் சுதந்திரமாகவே பிறக்கின்றனர்; அவர்கள் மதிப்பிலும் சமமானவர்கள்.",
    "thai": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ต่างมีเหตุผลและมโนธรรม",
    "georgian": "ყველა ადამიანი იბადება თავისუფალი და თანასწორი თავისი ღირსებითა და უფლებებით.",
    "armenian": "Բոլոր մարդիկ ծնվում են ազատ ու հավասար իրենց արժանապատվությամբ ու իրավունքներով։",
    "amharic": "የሰው ልጅ ሁሉ ሲወለድ ነጻና በክብርና በመብትም እኩልነት ያለው ነው።",
    "chinese": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
    "japanese": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "korean": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
}
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>", "<tool_call>",
           "</tool_call>", "<|fim_prefix|>", "<tool_response>", "</tool_response>",
           "<|im_start", "|im_end|>", "<<|im_end|>>", "<|im_end|", "< think>", "<THINK>"]
SPACES = [" ", "  ", "\n", "\n\n", "\t", " \n", "\r\n", "   \n  ", "\u00a0", "\u3000", "\u2028",
          "\u180e", "\u200b", "\x0b", "\x0c", "\x1c", "\x85", "\n ", "\r", "\u202f"]
ENDINGS = ["'s", "'S", "'t", "'RE", "'ve", "'Ve", "'m", "'ll", "'lL", "'d", "'\u017f", "'x", "'",
           "\u2019s", "''s", "'r", "'l", "'v"]
EMOJI = ["😀", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇯🇵", "❤️", "☺", "🧑🏿‍🚀", "1️⃣", "🫠", "🪿"]
PUNCTUATION = list("!\"#$%&()*+,-./:;=?@[]^_{|}~") + ["...", "—", "«", "»", "。", "、", "€", "->",
                                                        "==", "//", "\"\"\"", "¿", "™", "½", "Ⅷ", "²"]
BLOCKS = [(0x80, 0x250), (0x250, 0x370), (0x300, 0x370), (0x370, 0x530), (0x590, 0x800),
          (0x800, 0x900), (0x900, 0xE00), (0xE00, 0x1100), (0x1100, 0x1200), (0x1200, 0x1E00),
          (0x1AB0, 0x1B00), (0x1DC0, 0x2000), (0x2000, 0x2C00), (0x3000, 0x3400), (0xA000, 0xAC00),
          (0xAC00, 0xD800), (0xE000, 0xF900), (0xF900, 0x10000), (0x10000, 0x12000),
          (0x16000, 0x17000), (0x1D000, 0x1E000), (0x1E000, 0x1F000), (0x1F000, 0x20000),
          (0x20000, 0x32400), (0xE0000, 0xE0200), (0, 0x110000)]


def character(rng, first, last):
    while True:
        c = rng.randrange(first, last)
        if not 0xD800 <= c < 0xE000:
            return chr(c)


def words(rng, sentence):
    """A text of the sentence's words in another order, with all that stands between words."""
    parts = sentence.split()
    if len(parts) < 3:  # written without spaces
        parts = [sentence[i:i + 3] for i in range(0, len(sentence), 3)]
    out = []
    for _ in range(rng.randrange(20, 200)):
        word = rng.choice(parts)
        shape = rng.random()
        if shape < 0.05:
            word = word.upper()
        elif shape < 0.1:
            word += rng.choice(ENDINGS)
        elif shape < 0.15:
            word = str(rng.randrange(10 ** rng.randrange(1, 12)))
        elif shape < 0.2:
            word = rng.choice(PUNCTUATION) + word
        out.append(word)
        out.append(" " if rng.random() < 0.85 else rng.choice(SPACES))
        if rng.random() < 0.1:
            out.append(rng.choice(PUNCTUATION))
    return "".join(out)


def marks(rng):
    """Letters with many combining marks, in and out of canonical order, and Hangul in parts."""
    out = []
    for _ in range(rng.randrange(10, 100)):
        out.append(character(rng, *rng.choice([(0x41, 0x7B), (0xC0, 0x250), (0x905, 0x940),
                                               (0x5D0, 0x5EB), (0x1100, 0x1113), (0x3041, 0x30FF)])))
        for _ in range(rng.choice([0, 0, 1, 1, 2, 3, 8])):
            out.append(character(rng, *rng.choice([(0x300, 0x370), (0x300, 0x330), (0x591, 0x5C8),
                                                   (0x64B, 0x660), (0x93C, 0x94E), (0x1161, 0x1176),
                                                   (0x11A7, 0x11C3), (0x1AB0, 0x1ACF),
                                                   (0x1DC0, 0x1E00), (0x3099, 0x309B)])))
    return "".join(out)


def mixture(rng):
    """Special tokens and near misses in text."""
    pools = [SPECIAL, SPACES, ENDINGS, EMOJI, PUNCTUATION, list(SENTENCES.values())]
    return "".join(rng.choice(rng.choice(pools)) for _ in range(rng.randrange(1, 60)))


def code_files():
    root = pathlib.Path(__file__).resolve().parents[2]
    for pattern in ("base/*.cpp", "data/*.cpp", "kernels/*.cpp", "tests/oracle/*.py"):
        yield from sorted(root.glob(pattern))


def every_character():
    """All code points of the planes that have characters, each between other letters."""
    for start in [*range(0, 0x32400, 64), *range(0xE0000, 0xE0200, 64)]:
        block = [chr(c) for c in range(start, start + 64) if not 0xD800 <= c < 0xE000]
        if block:
            yield " x".join(block)


def corpus(scale=1.0):
    rng = random.Random(20240607)

    def times(count):
        return range(max(1, round(count * scale)))

    for name, sentence in SENTENCES.items():
        for _ in times(330):
            text = words(rng, sentence)
            yield name, unicodedata.normalize("NFD", text) if rng.random() < 0.2 else text
    for path in code_files() if scale >= 1 else list(code_files())[:2]:
        yield "code", path.read_text(encoding="utf-8")
    for _ in times(300):
        yield "emoji", "".join(rng.choice(EMOJI + PUNCTUATION + ["a", " "]) for _ in range(60))
    for _ in times(600):
        yield "marks", marks(rng)
    for _ in times(1500):
        first, last = rng.choice(BLOCKS)
        yield "random", "".join(character(rng, first, last) for _ in range(rng.randrange(1, 150)))
    for _ in times(300):
        noise = rng.randbytes(rng.randrange(1, 600))
        yield "bytes", noise.decode("utf-8", errors="replace")
        yield "bytes", noise.decode("latin-1")
    for _ in times(1500):
        yield "mixture", mixture(rng)
    for text in every_character() if scale >= 1 else list(every_character())[::100]:
        yield "every", text
    for text in ("", " ", "\n", "a" * 5000, "\u0301" * 300, " " * 3000 + "x", "é" * 1000, "\0"):
        yield "edge", text


if __name__ == "__main__":
    sizes = {}
    for kind, text in corpus():
        sizes[kind] = sizes.get(kind, 0) + len(text.encode())
    for kind, size in sizes.items():
        print(f"{kind:12} {size:9,}")
    print(f"{'in all':12} {sum(sizes.values()):9,}")
