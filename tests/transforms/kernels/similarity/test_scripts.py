"""Near copies are near in scripts that are written without spaces, and different texts are not (case 32)."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest

from transforms.kernels.similarity import minhash
from transforms.kernels.text import text

# Consonants and vowel signs of each script; a syllable is one of each. Arabic words have spaces, Tibetan syllables a tsheg.
SCRIPTS = {
    "thai": ("กขคงจชซดตทนบปผพมยรลวสห", "ะาิีึืุู", ""),
    "khmer": ("កខគឃងចឆជញដតថទនបផពមយរលវសហ", "ាិីឹុូេែ", ""),
    "lao": ("ກຂຄງຈສຊຍດຕຖທນບປຜຝພຟມຢຣລວຫ", "ະາິີຶືຸູ", ""),
    "burmese": ("ကခဂငစဆဇညတထဒနပဖဗမယရလဝသဟ", "ာိီုူေဲ", ""),
    "tibetan": ("ཀཁགངཅཆཇཉཏཐདནཔཕབམཙཚཛཝཞཟའཡརལཤསཧ", "ིེོུ", "་"),
    "javanese": ("ꦏꦒꦔꦕꦗꦚꦠꦢꦤꦥꦧꦩꦪꦫꦭꦮꦱꦲ", "ꦶꦸꦺꦴꦼ", ""),
    "balinese": ("ᬓᬕᬗᬘᬚᬜᬢᬤᬦᬧᬩᬫᬬᬭᬮᬯᬲᬳ", "ᬶᬸᭀᬂ", ""),
    "arabic": ("ابتثجحخدذرزسشصضطظعغفقكلمنهوي", "َُِّ", " "),
}


def syllables(script: str, seed: str, n: int = 300) -> list[str]:
    consonants, vowels, between = SCRIPTS[script]
    picks = [hashlib.blake2b(f"{seed}{i}".encode()).digest() for i in range(n)]
    return [consonants[p[0] % len(consonants)] + vowels[p[1] % len(vowels)] + between for p in picks]


def shingle_sets(texts: list[str]) -> list[set[int]]:
    _, tokens = text.canonicalise(pa.array(texts, pa.large_string()))
    offsets, shingles = minhash.shingle_sets(*minhash.words(tokens), 5)
    return [set(part.tolist()) for part in np.split(shingles, offsets[1:-1])]


@pytest.mark.parametrize("script", SCRIPTS)
def test_one_syllable_of_300_changes_little_and_another_text_shares_nothing(script: str) -> None:
    originals = [syllables(script, f"{script} {number} ") for number in range(20)]
    copies = [[*one[:150], syllables(script, "another ")[number], *one[151:]] for number, one in enumerate(originals)]
    sets = shingle_sets(["".join(one) for one in (*originals, *copies)])
    for number, (one, copy) in enumerate(zip(sets[:20], sets[20:], strict=True)):
        assert len(one) > 250  # a document has shingles at all
        assert len(one & copy) / len(one | copy) > 0.95
        assert all(len(one & other) / len(one | other) < 0.05 for other in sets[:number])
