"""Varied lines of text for comparing tokenizers, the same for the same seed everywhere.

    from text_lines import lines
    for line in lines(20000, seed=1): ...

Or as a program:  text_lines.py COUNT [SEED]   prints one JSON string per line.

Every line mixes kinds: words of many scripts, emoji with joiners and modifiers, combining marks in odd
orders, control and format characters, code points next to the surrogates and at the ends of planes, code,
URLs, digits, very long words, and added tokens inside and beside words. Only Python's standard library.
"""

import json
import random
import sys

ENGLISH = """the of and to in is that for it was on are as with his they be at one have this from or had by hot
but some what there we can out other were all your when up use word how said an each she which do their time if
will way about many then them would write like so these her long make thing see him two has look more day could
go come did my sound no most number who over know water than call first people may down side been now find any
new work part take get place made live where after back little only round man year came show every good me give
our under name very through just form much great think say help low line before turn cause same mean differ move
right boy old too does tell sentence set three want air well also play small end put home read hand port large
spell add even land here must big high such follow act why ask men change went light kind off need house picture
try us again animal point mother world near build self earth father unbelievable tokenization internationalisation
embeddings transformers hyperparameters retrieval benchmark throughput latency""".split()

SAMPLES = {
    "german": "Die Straße führt über die Brücke zum größten Märchenschloss; Übermut tut selten gut, süße Grüße!",
    "french": "L’été dernier, j’ai rêvé d’une forêt où naïvement le cœur s’ouvrait à l’œuvre française — déjà vu.",
    "spanish": "¿Dónde está el niño? ¡Mañana iremos a la montaña con el pingüino!",
    "turkish": "İstanbul'da IŞIK ığdır çağdaş şöyle böyle İİİ ııı",
    "vietnamese": "Tiếng Việt có nhiều dấu: ườn ưở ệ ẫ ỡ đường phố Hà Nội",
    "czech": "Příliš žluťoučký kůň úpěl ďábelské ódy. Łódź, Gdańsk, Österreich, Þingvellir, Ísafjörður",
    "russian": "Съешь ещё этих мягких французских булок, да выпей чаю. Ёлка ЙОГУРТ",
    "ukrainian": "Чуєш їх, доцю, га? Кумедна ж ти, прощайся без ґольфів!",
    "greek": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. ΌΣΟΣ ΣΟΦΟΣ ΰ ἀρχῇ ἦν ὁ λόγος",
    "arabic": "السَّلامُ عَلَيْكُم ورحمة الله وبركاته، كيف حالك؟ ١٢٣ ﷺ ﻻ",
    "persian": "می‌خواهم کتاب‌ها را بخوانم ۴۵۶",
    "hebrew": "שָׁלוֹם עוֹלָם, מה שלומך? בְּרֵאשִׁית",
    "hindi": "नमस्ते दुनिया, क्षत्रिय ज्ञानी श्री कृष्ण क़लम ज़रा १२३",
    "bengali": "আমার সোনার বাংলা, আমি তোমায় ভালোবাসি। ড় ঢ় য়",
    "tamil": "தமிழ் மொழி மிகவும் பழமையானது கொ கோ கௌ",
    "thai": "สวัสดีชาวโลก กรุงเทพมหานคร น้ำ ๑๒๓",
    "khmer": "សួស្តីពិភពលោក ក្រុងភ្នំពេញ",
    "burmese": "မင်္ဂလာပါ ကမ္ဘာလောက",
    "tibetan": "བོད་སྐད་ཡིག། གངས་རིན་པོ་ཆེ",
    "georgian": "გამარჯობა მსოფლიო ᲗᲑᲘᲚᲘᲡᲘ",
    "armenian": "Բարեւ աշխարհ և մարդիկ",
    "amharic": "ሰላም ልዑል፣ እንዴት ነህ።",
    "chinese": "我喜歡吃蘋果，你呢？今天天气很好。𠀀𪚥㐀豈更車",
    "japanese": "こんにちは世界。カタカナとひらがな、ﾊﾝｶｸ ｶﾞｷﾞ が ぱ 々〆",
    "korean": "안녕하세요 세계 대한민국 각갂갃 각 ㄱㄴㄷ ﾡ",
    "cherokee": "ᎣᏏᏲ ᎡᎶᎯ ꭰꭱꭲ",
    "deseret": "𐐀𐐁𐐂 𐐨𐐩𐐪 𐒰𐓘",
    "math": "∑ᵢ xᵢ² ≤ √(π·ℯ) ⇒ 𝐀𝑩𝒞𝓓𝔈𝕱𝖌𝗛𝘪𝙅𝚔 ½ ⅔ ⅷ ① ⑳ ㍿ ㎏ ℻ ™ ﬁ ﬂ ﬀ ſ K Å Ω",
    "fullwidth": "ＦＵＬＬ　ｗｉｄｔｈ　１２３！？ ａ̀ é ｱﾞ",
    "punctuation": "« “quoted” ‘single’ „low‚ … — – ‐ ‑ ‒ ― ·•‣ ‹›» ¡¿§¶†‡ 、。「」【】〈〉 ،؛؟ ।॥ ՜՞ ᠁",
    "symbols": "$€£¥₹₿ + < = > ^ ` | ~ ¬ ± × ÷ © ® ° ← ↑ → ↓ ■ □ ▲ ★ ☆ ♥ ♪ ✓ ▁ ▁▁ ▂",
    "spaces": "a\u00a0b\u1680c\u2000d\u2003e\u200af\u2028g\u2029h\u202fi\u205fj\u3000k\u0085l\u200bm\ufeffn\u180eo\u2060p",
}

EMOJI = ["😀", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "🇺🇸🇫🇷🇯", "❤️", "❤", "1️⃣", "#️⃣", "🧑🏿‍🚀", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "☺︎", "©️", "®\u200d", "👁️‍🗨️", "🫠", "🪿"]

CODE = [
    "def f(x: int) -> str:\n\treturn f\"{x!r:>10}\"",
    "for (auto& [k, v] : map) { sum += v->size() * 0x1F; }",
    "SELECT * FROM users WHERE id = 42 AND name LIKE '%O''Brien%';",
    "<a href=\"https://example.org/?q=1&amp;b=%20#frag\">link</a>",
    "git commit -m 'fix: don\\'t crash' && ./run.sh --flag=\"$HOME/x\"",
    "user.name+tag@sub.example.co.uk http://[::1]:8080/a/b/../c?d=e;f",
    "{\"key\": [1, 2.5e-10, null, true], \"ü\": \"\\u00fc\"}",
    "x = y ** 2 // 3 % 4 @ z; print('=' * 80)  # TODO(me): i18n",
    "It's the dog's bone; we'll see, they've won't can't I'm you're he'd",
]

TOKENS = ["[CLS]", "[SEP]", "[MASK]", "[UNK]", "[PAD]", "<s>", "</s>", "<mask>", "<pad>", "<unk>", "<|endoftext|>",
          "[ENT]", "[ent]", "newword", "NewWord", "<special>", "<<special>>", "[CLS", "CLS]", "<ma", "sk>", "##ing", "▁the",
          "<0x41>", "naïve", "Straße"]

MARKS = [0x300, 0x301, 0x302, 0x303, 0x308, 0x30A, 0x323, 0x327, 0x328, 0x331, 0x334, 0x345, 0x35C, 0x360, 0x5B0, 0x5BC, 0x64B,
         0x651, 0x670, 0x93C, 0x94D, 0xE38, 0xE48, 0xF71, 0xF72, 0xF74, 0x1DC0, 0x20D0, 0x20DD, 0x302A, 0x302E, 0x302F, 0x3099, 0x309A,
         0xFE0F, 0xFE20, 0x1D165, 0x1D16D, 0x1D17B, 0x16FF0, 0x897, 0x1CF2]

CONTROLS = [0x00, 0x01, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x1B, 0x1F, 0x7F, 0x80, 0x85, 0x8F, 0x9F, 0xAD, 0x600, 0x61C,
            0x6DD, 0x70F, 0x180E, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2028, 0x2029, 0x202A, 0x202E, 0x2060, 0x2066, 0x206F, 0xFEFF,
            0xFFF9, 0xFFFB, 0xFFFC, 0xFFFD, 0x110BD, 0x1D173, 0xE0001, 0xE0020, 0xE007F]

EDGES = [0xD7FF, 0xE000, 0xF8FF, 0xFDD0, 0xFFFE, 0xFFFF, 0x10000, 0x1FFFE, 0x1FFFF, 0x2FFFF, 0xF0000, 0xFFFFD, 0x10FFFD, 0x10FFFF, 0x2028,
         0x7FF, 0x800, 0x80, 0x7F, 0x2E80, 0xABC0, 0xAC00, 0xD7A3, 0xD7A4, 0x1100, 0x11A7, 0x11A8, 0xFA0E, 0x2F800, 0x2FA1D, 0x3134A, 0x323AF]


def _word(rng):
    word = rng.choice(ENGLISH)
    style = rng.random()
    if style < 0.15:
        word = word.capitalize()
    elif style < 0.2:
        word = word.upper()
    elif style < 0.23:
        word = "".join(rng.choice((c.upper(), c)) for c in word)
    return word


def _english(rng):
    words = [_word(rng) for _ in range(rng.randint(1, 14))]
    text = " ".join(words)
    return text + rng.choice(("", ".", "!", "?", ",", "...", " .", ";", ":", "'s", "\""))


def _script(rng):
    text = rng.choice(list(SAMPLES.values()))
    if rng.random() < 0.5:
        return text
    begin = rng.randrange(len(text))
    return text[begin:begin + rng.randint(1, 20)]


def _marks(rng):
    out = ""
    for _ in range(rng.randint(1, 8)):
        out += rng.choice("aeiouAEnNo 가あक©\u00bcｱ")
        out += "".join(chr(rng.choice(MARKS)) for _ in range(rng.randint(0, 4)))
    return out


def _controls(rng):
    return "".join(chr(rng.choice(CONTROLS)) if rng.random() < 0.5 else rng.choice("ab c.")
                   for _ in range(rng.randint(1, 10)))


def _edges(rng):
    return "".join(chr(rng.choice(EDGES)) if rng.random() < 0.6 else rng.choice("ab ")
                   for _ in range(rng.randint(1, 6)))


def _anything(rng):
    out = ""
    for _ in range(rng.randint(1, 8)):
        top = rng.choice((0x250, 0x3000, 0x10000, 0x20000, 0x110000))
        c = rng.randrange(top)
        out += chr(c) if not 0xD800 <= c < 0xE000 else "?"
    return out


def _digits(rng):
    return rng.choice((str(rng.randrange(10 ** rng.randint(1, 15))), "%.3f" % rng.uniform(-1e4, 1e4), "1,234,567", "2024-02-29T12:34:56Z",
                       "+49 (0)30 1234-5678", "٣٤٥", "ⅣⅫ", "¹²³", "3rd", "v1.2.3-rc4", "0xDEADBEEF", "१२"))


def _long(rng):
    unit = rng.choice(("a", "ab", "antidis", "Donau", "é", "ß", "日本", "👍", "x1", "-", "и", "of", "e\u0301"))
    return unit * rng.randint(20, 180)


def _tokens(rng):
    token = rng.choice(TOKENS)
    return rng.choice(("", " ", "  ", "\t", "word", "x", "é", "\u00a0", ",")) + token + rng.choice(("", " ", "  ", "\n", "word", "s", ".", token, "ü"))


def _spaces(rng):
    return "".join(rng.choice(" \t\n\r\u00a0\u3000\u2003 ") for _ in range(rng.randint(1, 5)))


KINDS = ((_english, 30), (_script, 22), (_marks, 6), (_controls, 5), (_edges, 3), (_anything, 5), (_digits, 6), (_long, 2), (_tokens, 10),
         (_spaces, 5), (lambda rng: rng.choice(EMOJI), 6), (lambda rng: rng.choice(CODE), 5))


def lines(count, seed=1):
    """`count` strings; about one in a hundred is empty or all white space."""
    rng = random.Random(seed)
    makers = [maker for maker, weight in KINDS for _ in range(weight)]
    for _ in range(count):
        parts = []
        for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3, 4, 6)) if rng.random() < 0.1 else rng.randint(1, 4)):
            parts.append(rng.choice(makers)(rng))
        yield rng.choice((" ", " ", "", "  ", "\n", ", ")).join(parts)


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    for line in lines(count, int(sys.argv[2]) if len(sys.argv) > 2 else 1):
        print(json.dumps(line, ensure_ascii=False))
