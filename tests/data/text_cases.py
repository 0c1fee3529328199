"""The texts on which vectors are compared with the reference: every kind that has broken a tokeniser."""

from __future__ import annotations

import random

WORDS = (
    "river engine purple seven market quietly ozone library tomorrow glacier trumpet ledger velvet harbour protein "
    "shallow compass orchard voltage marble whisper tunnel ribbon cactus signal meadow pepper anchor lantern gravity"
)
SUBJECTS = ("A red bicycle", "The night train", "Our neighbour's cat", "An old lighthouse", "The quarterly report")
VERBS = ("waits for", "was painted by", "reminds me of", "costs more than", "explains")
OBJECTS = ("the harbour", "three loud engineers", "a bowl of soup", "last year's winter")


def texts() -> list[str]:
    """All texts, in a fixed order, each once."""
    collected = [*_nearly_empty(), *_short(), *_languages(), *_symbols(), *_machine(), *_long(), *_sentences()]
    return list(dict.fromkeys(collected))


def _nearly_empty() -> list[str]:
    blanks = ["", " ", "   ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u200b", "\ufeff", "\x00", "\x1b", "\u2028"]
    return [*blanks, ".", "..", "...", "!", "?", "-", "_", "'", '"', "`", "/", "\\", "#", "@", "a", "Z", "0", "é", "ß"]


def _short() -> list[str]:
    return [
        "hello world",
        "Hello World",
        "HELLO WORLD",
        "hElLo WoRlD",
        "  hello   world  ",
        "hello\tworld\n",
        "hello world.",
        "hello, world!",
        "helloworld",
        "hello-world",
        "hello_world",
        "The weather is lovely today.",
        "It's so sunny outside!",
        "He drove to the stadium.",
        "This is an example sentence.",
        "What is Deep Learning?",
        "don't can't won't it's we'll they've I'd",
        "iPhone 15 Pro Max vs. McDonald's eBay",
        "NASA, the FBI and the U.S.A.",
        "[CLS] hello [SEP]",
        "[PAD] [UNK] [MASK]",
        "[mask]",
        "antidisestablishmentarianism",
        "pneumonoultramicroscopicsilicovolcanoconiosis",
        "<b>bold</b> &amp; <i>italic</i>",
    ]


def _languages() -> list[str]:
    return [
        "Der schnelle braune Fuchs springt über den faulen Hund.",
        "Straße, GROẞE, Fuß und Maß",
        "Le cœur déçu mais l'âme plutôt naïve",
        "El niño comió una piña en el ñandú",
        "Zażółć gęślą jaźń",
        "Příliš žluťoučký kůň úpěl ďábelské ódy",
        "İstanbul'da ışık ve IĞDIR",
        "Съешь же ещё этих мягких французских булок",
        "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία",
        "敏捷的棕色狐狸跳过懒狗",
        "今日は良い天気ですね",
        "カタカナとひらがなと漢字",
        "ﾊﾝｶｸｶﾅ と ＦＵＬＬＷＩＤＴＨ",
        "오늘은 날씨가 좋네요",
        "الطقس جميل اليوم",
        "السَّلَامُ عَلَيْكُمْ",
        "שלום עולם",
        "שָׁלוֹם",
        "नमस्ते दुनिया",
        "สวัสดีชาวโลก",
        "Xin chào thế giới",
        "გამარჯობა მსოფლიო",
        "Բարեւ աշխարհ",
        "ሰላም ልዑል",
        "ᚠᛇᚻ ᛒᛦᚦ ᚠᚱᚩᚠᚢᚱ",
        "mixed 漢字 and English と かな",
        "e\u0301 versus \u00e9",
        "a\u0308\u0323 stacked accents z\u0351\u036b\u0343",
        "\u202eright to left override\u202c",
        "𠜎𠜱𠝹𠱓",
        "𝕳𝖊𝖑𝖑𝖔 𝓌𝑜𝓇𝓁𝒹",
    ]


def _symbols() -> list[str]:
    return [
        "😀",
        "😀😁😂🤣",
        "I ❤️ this 🎉🎉🎉",
        "👩‍👩‍👧‍👦 family",
        "👍🏽 skin tone",
        "🇩🇪🇯🇵🇧🇷",
        "™ © ® ° ± µ ¶",
        "½ ⅓ ² ³ ₁₂",
        "€100 £50 ¥1000 ₹20",
        "∑ ∫ √ ∞ ≠ ≤ α β γ",
        "← ↑ → ↓ ⇒",
        "“curly” ‘quotes’ — dashes – and … dots",
        "x\u00adsoft\u00adhyphen",
        "zero\u200bwidth\u200djoiner",
        "bell\x07 and escape\x1b[31m",
        "null\x00inside",
        "vertical\x0btab\x0cfeed",
        "replacement \ufffd character",
        "private \ue000 use",
        "noncharacter \uffff here",
        "\U0010ffff",
        "¯\\_(ツ)_/¯",
        "!!!???!!!",
        "$$$ ### @@@ %%% ^^^ &&& ***",
        "(((nested [brackets {here}])))",
    ]


def _machine() -> list[str]:
    return [
        "https://example.com/a/b?c=d&e=%20f#g",
        "user.name+tag@mail.example.org",
        "C:\\Windows\\System32\\drivers\\etc\\hosts",
        "/usr/share/doc/README.gz",
        "192.168.0.1:8080",
        "2001:db8::ff00:42:8329",
        "2024-02-29T23:59:60Z",
        "+49 (0)30 1234-5678",
        "3.14159265358979323846",
        "1,234,567.89",
        "-1e-10",
        "0x7fffffff",
        "12345678901234567890",
        "def f(x: int) -> int:\n    return x ** 2  # squared",
        "SELECT * FROM users WHERE name = 'O''Brien';",
        "#include <stdio.h>\nint main(void) { return 0; }",
        "for (let i = 0; i < n; i++) { sum += a[i]; }",
        '{"key": [1, 2.5, null, true], "nested": {"a": "b"}}',
        "<?xml version='1.0'?><a b='c'/>",
        "^(?:[a-z]+)\\d{2,}$",
        "550e8400-e29b-41d4-a716-446655440000",
        "ERROR 2024-01-01 [main] java.lang.NullPointerException: null",
        "camelCaseIdentifier snake_case_identifier kebab-case-identifier",
        "aGVsbG8gd29ybGQ=",
        "\\frac{a}{b} + \\sqrt{x_1^2}",
    ]


def _long() -> list[str]:
    """Around and far above the 256 pieces that the model takes, words that the tokeniser gives up on, repetitions."""
    chooser, words = random.Random(5), WORDS.split()
    collected = [" ".join(chooser.choice(words) for _ in range(n)) for n in (20, 60, 120, 253, 254, 255, 256, 257, 400)]
    collected += ["dog " * n for n in (2, 16, 253, 254, 255, 1000)]
    collected += ["x" * n for n in (99, 100, 101, 5000)]
    collected += ["ab" * 50, "supercalifragilistic" * 5, "a " * 300, ". " * 300, "." * 600, "7" * 90, "7 " * 260]
    collected += ["漢" * 300, "😀" * 40, "😀 " * 300, "é" * 80, "word\n" * 280, "The end. " * 90]
    collected += [" " * 3000 + "late", "early" + " " * 3000, "unseen " * 254 + "tail that no model reads"]
    return collected


def _sentences() -> list[str]:
    return [f"{subject} {verb} {thing}." for subject in SUBJECTS for verb in VERBS for thing in OBJECTS]
