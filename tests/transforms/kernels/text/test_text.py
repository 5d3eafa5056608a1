"""The canonical form against a plain reference in Python, and the rules that the module states."""

import functools
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from transforms.kernels.models.linear import hash32
from transforms.kernels.text import text

FOLD = {ord(other): ascii_char for ascii_char, others in text._FOLDED.items() for other in others}


@functools.cache
def kind_of(char: str) -> str:
    """Class of a character, from its category and the blocks that the module names."""
    point, category = ord(char), unicodedata.category(char)
    if point in FOLD:
        return "punct"
    if char in "\t\n\v\f\r\x85" or category[0] == "Z":
        return "space"
    if category in ("Cf", "Cc") or point >= 0x40000 or any(start <= point <= end for start, end in text._INVISIBLE):
        return "ignore"
    if point >= 0x20000:
        return "solo"
    if category[0] in "LN":
        return "solo" if any(start <= point <= end for start, end in text._UNSPACED) else "letter"
    return "mark" if category[0] == "M" else "punct"


def caseless(value: str) -> str:
    value = unicodedata.normalize("NFD", value).replace("\u00b4", "'").replace("\u2033", '"')
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value.casefold()).casefold())


def reference(value: str) -> list[tuple[str, int]]:
    """Tokens of a text and their kinds, one character at a time."""
    return _reference("".join(char for char in value if kind_of(char) != "ignore"))


@functools.lru_cache(1024)  # of all characters nine in ten are ignored
def _reference(value: str) -> list[tuple[str, int]]:
    value = caseless(value)
    tokens: list[list] = []
    open_class = "space"
    run = 0
    for at, char in enumerate(value):
        c = kind_of(char)
        char = FOLD.get(ord(char), char)
        if c == "space":
            open_class = "space"
            continue
        if char == "'" and open_class == "letter" and at + 1 < len(value) and kind_of(value[at + 1]) == "letter":
            c = "letter"
        if c == "mark":
            c = "solo" if open_class == "solo" else "letter"
            joins = open_class == c
        elif c == "punct":
            joins = open_class == "punct" and tokens[-1][0][-1] == char
            run = run + 1 if joins else 1
            if run > 3:
                continue
        else:
            joins = c == "letter" and open_class == "letter"
        if joins:
            tokens[-1][0] += char
        else:
            tokens.append([char, {"letter": 0, "solo": 1, "punct": 2}[c]])
        open_class = c
    return [(token, kind) for token, kind in tokens]


def canonical(*values: str) -> list[str]:
    return text.canonicalise(pa.array(values, pa.large_string()))[0].to_pylist()


ANY = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
# Where the compiled passes take their turns: words of 0 to 20 ASCII letters, between all that may stand between them.
ORDINARY = st.lists(
    st.one_of(
        st.text("aZ9zAkK", max_size=20),
        st.sampled_from([*" \n\t.,!?'`\"-_/@[{\x00\x1f\x7f", "...", "\u2019", "\u2026", "\u00a0", "\u200d", "\u00df", "\u1e9e"]),
        st.sampled_from("\u00e9\u00c9e\u0301\u0316\u0323\u03a3\u03c2\u0130\u0131\u01c5\ufb01\u6211\uff0c\uff71\uff9e\u0e01\u0e35\u0e48\uac00\u1100\u1161\u11a8\u314f\u3131\uffc2\u0316\u031b"),
        st.sampled_from("\u0915\u094d\u093f\u093c\u0628\u064b\u0651\u0653\u05e9\u05b8\u05c1\u0345\u1fb3\u023a\u13a0\uab70\U00020000\U000e0041\U0001f600\U0001f3fd\ufe0f"),
    ),
    max_size=30,
).map("".join)  # fmt: skip


@given(st.lists(st.one_of(ANY, ORDINARY), min_size=1, max_size=5))
def test_equals_the_reference_on_any_text(values: list[str]) -> None:
    found, tokens = text.canonicalise(pa.array(values, pa.large_string()))
    for d, value in enumerate(values):
        expected = reference(value)
        assert found[d].as_py() == " ".join(token for token, _ in expected)
        assert tokens.kind[tokens.offsets[d] : tokens.offsets[d + 1]].tolist() == [kind for _, kind in expected]
        hashes = [text.hash_token(token) for token, _ in expected]
        assert tokens.hash64[tokens.offsets[d] : tokens.offsets[d + 1]].tolist() == [h for h, _ in hashes]
        assert hash32(tokens)[tokens.offsets[d] : tokens.offsets[d + 1]].tolist() == [h for _, h in hashes]


@pytest.mark.parametrize("block", range(0, 0x110000, 0x10000))
def test_every_character_is_folded_as_the_reference_folds_it(block: int) -> None:
    chars = [chr(point) for point in range(block, block + 0x10000) if not 0xD800 <= point < 0xE000]
    for before, after in (("a", "b"), ("", "")):
        values = [before + char + after for char in chars]
        assert canonical(*values) == [" ".join(token for token, _ in reference(value)) for value in values]


@given(st.one_of(ANY, ORDINARY))
def test_the_canonical_form_is_its_own(value: str) -> None:
    assert canonical(*canonical(value)) == canonical(value)


@given(st.one_of(ANY, ORDINARY))
def test_texts_that_are_equal_but_for_case_or_composition_are_equal(value: str) -> None:
    composed, decomposed = unicodedata.normalize("NFC", value), unicodedata.normalize("NFD", value)
    # Decomposed before the case is folded, as Unicode says: the iota subscript becomes a letter, and its place counts.
    assert set(canonical(composed, decomposed, decomposed.casefold())) == set(canonical(value))


@given(st.one_of(ANY, ORDINARY))
def test_compatibility_forms_are_equal(value: str) -> None:
    # Not the accent and the primes that are folded to quotes before; nor, for the reason above, the iota subscript.
    assume(not set("\u00b4\u2033\u0345") & set(unicodedata.normalize("NFD", value)))
    assert set(canonical(*(unicodedata.normalize(form, value) for form in ("NFKC", "NFKD")))) == set(canonical(value))


@given(ORDINARY, st.integers(0, 40))
def test_invisible_characters_make_no_difference(value: str, at: int) -> None:
    for char in "\u200b\u200d\u200e\u200f\u202e\u2067\u00ad\ufeff\ufe0f\u034f\u061c\u3164\x00\U000e0041":
        assert canonical(value[:at] + char + value[at:]) == canonical(value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Stra\u00dfe", "STRASSE"),
        ("STRA\u1e9eE", "stra\u00dfe"),
        ("\u039f\u0394\u039f\u03a3", "\u03bf\u03b4\u03bf\u03c2"),  # Greek: final sigma
        ("\u0386\u03a3", "\u03b1\u0301\u03c3"),  # Greek: accent, composed or not
        ("\u1fb3", "\u0391\u0399"),  # Greek: iota subscript
        ("\u0130", "i\u0307"),  # Turkish: capital dotted I
        ("\ufb03x", "FFIX"),
        ("\u13a0", "\uab70"),  # Cherokee
        ("a\u0323\u0307", "a\u0307\u0323"),  # marks in another order
        ("\u1112\u1161\u11ab\u1100\u1173\u11af", "\ud55c\uae00"),  # Hangul: jamo or syllables
        ("\u1100\u314f", "\uac00"),  # Hangul: a compatibility vowel
        ("\uff76\uff9e\uff77", "\u30ac\u30ad"),  # kana: half width
        ("\uff21\uff11\uff01", "a1!"),
        ("\u0645\u200f\u0631\u202bx\u202c", "\u0645\u0631x"),  # Arabic: bidirectional marks
        ("\ufefb", "\u0644\u0627"),  # Arabic: a ligature
        ("\u05e9\u05bc\u05c1", "\ufb2c"),  # Hebrew: points, composed or not
        ("\u0e19\u0e33", "\u0e19\u0e4d\u0e32"),  # Thai: sara am
        ("\U0001f469\u200d\U0001f4bb", "\U0001f469\U0001f4bb"),  # emoji: joiner
        ("\u2764\ufe0f", "\u2764"),  # emoji: variation selector
        ("don\u00b4t", "don't"),
        ("don\u1ffdt", "don't"),
        ("don\u2019\u200bt", "don't"),
    ],
)
def test_these_are_the_same(one: str, other: str) -> None:
    assert canonical(one) == canonical(other)


def test_turkish_dotless_i_is_a_letter_of_its_own() -> None:
    assert canonical("\u0131") != canonical("I") == canonical("i")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Hello,  World!\n", "hello , world !"),
        ("Don\u2019t \u201cquote\u201d \u2014 me", 'don\'t " quote " - me'),
        ("wait.......", "wait ..."),
        ("e\u0301 = \u00e9", "\u00e9 = \u00e9"),  # one letter, composed or not
        ("\ufb01ne \u2460", "fine 1"),  # compatibility forms
        ("zero\u200bwidth and soft\u00adhyphen", "zerowidth and softhyphen"),
        ("\u6211\u7231\u4f60", "\u6211 \u7231 \u4f60"),  # a script without spaces: a token a character
        ("\u0e44\u0e17\u0e22", "\u0e44 \u0e17 \u0e22"),
        (
            "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
            "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
        ),  # right to left
        ("ok \U0001f600\U0001f600", "ok \U0001f600\U0001f600"),
        ("\uff21\uff22\uff23\uff01", "abc !"),  # full width
        ("3.14 1,000 b2b 50% m\u00b2 \u00bd", "3 . 14 1 , 000 b2b 50 % m2 1 \u2044 2"),
        ("state-of-the-art snake_case a/b", "state - of - the - art snake _ case a / b"),
        ("'tis the dogs' o'clock rock'n'roll", "' tis the dogs ' o'clock rock'n'roll"),
        ("wait\u2026 what\u2026\u2026", "wait ... what ..."),
        ("\u0661\u0662\u0663 \u0967\u0968", "\u0661\u0662\u0663 \u0967\u0968"),  # digits of other scripts
        ("\u0ea5\u0eb2\u0ea7", "\u0ea5 \u0eb2 \u0ea7"),  # Lao
        ("\u1781\u17d2\u1798\u17c2\u179a", "\u1781\u17d2 \u1798\u17c2 \u179a"),  # Khmer: marks with their letter
        ("\ua98f\ua9c0\ua98f\ua9b6", "\ua98f\ua9c0 \ua98f\ua9b6"),  # Javanese
        ("\u1b13\u1b36\u1b13", "\u1b13\u1b36 \u1b13"),  # Balinese
        ("\u1950\u1951 \u1a20\u1a21 \uaa80\uaa82", "\u1950 \u1951 \u1a20 \u1a21 \uaa80 \uaa82"),  # Tai
        ("\u0e17\u0e35\u0e48", "\u0e17\u0e35\u0e48"),  # Thai: a vowel and a tone with their letter
        ("\U0001f44d\U0001f3fd", "\U0001f44d \U0001f3fd"),  # a skin tone is a symbol of its own
        ("\u0939\u093f\u0928\u094d\u0926\u0940", "\u0939\u093f\u0928\u094d\u0926\u0940"),
        (" \t\u00a0\u3000\ufeff", ""),
        ("", ""),
    ],
)
def test_rules(value: str, expected: str) -> None:
    assert canonical(value) == [expected]


def test_a_batch_is_the_sum_of_its_documents_and_slices_work() -> None:
    values = ["one two", "", "\u6211\u7231 you", "it\u2019s", "   "]
    column = pa.array(["skipped", *values], pa.large_string()).slice(1)
    together, tokens = text.canonicalise(column)
    assert together.to_pylist() == [canonical(value)[0] for value in values]
    assert tokens.offsets.tolist() == np.cumsum([0, 2, 0, 3, 1, 0]).tolist()


def test_words_are_counted_without_punctuation() -> None:
    _, tokens = text.canonicalise(pa.array(["one, two!", "\u6211\u7231", "...", ""], pa.large_string()))
    assert text.count_words(tokens).tolist() == [2, 2, 0, 0]


def test_no_document_at_all() -> None:
    found, tokens = text.canonicalise(pa.array([], pa.large_string()))
    assert len(found) == 0
    assert tokens.offsets.tolist() == [0]
