"""fastText's model of languages, read and asked by us: what fastText itself says, on a thousand texts."""

import contextlib
import hashlib
import warnings
from concurrent.futures import ThreadPoolExecutor

import fasttext
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.detector.fasttext_file import DetectorError, read_labels
from transforms.detector.languages import FILE, FIRST, find_languages, spoken
from transforms.kernels.models.subwords import _place_of, best_label

SENTENCES = {
    "en": "The committee met on Tuesday to discuss the state of the bridge, and it was decided that it would be closed.",
    "de": "Der Ausschuss trat am Dienstag zusammen, um über den Zustand der alten Brücke zu sprechen, und sie wurde gesperrt.",
    "fr": "Le comité s'est réuni mardi pour parler de l'état du pont et il a été décidé qu'il n'était plus sûr pour tous.",
    "es": "El comité se reunió el martes para hablar del estado del puente y se decidió que no era seguro para los coches.",
    "pt": "A comissão reuniu-se na terça-feira para falar do estado da ponte e decidiu que não era segura para os carros.",
    "nl": "De commissie kwam dinsdag bijeen om de staat van de brug te bespreken en besloot dat hij niet meer veilig was.",
    "it": "Il comitato si è riunito martedì per discutere dello stato del ponte e ha deciso che non era più sicuro.",
    "pl": "Komisja zebrała się we wtorek, aby omówić stan mostu, i zdecydowano, że nie jest on już bezpieczny dla samochodów.",
    "ru": "Комитет собрался во вторник, чтобы обсудить состояние моста, и было решено, что он больше не безопасен для машин.",
    "uk": "Комітет зібрався у вівторок, щоб обговорити стан мосту, і було вирішено, що він більше не є безпечним для машин.",
    "el": "Η επιτροπή συνεδρίασε την Τρίτη για να συζητήσει την κατάσταση της γέφυρας και αποφάσισε να κλείσει.",
    "tr": "Komite salı günü köprünün durumunu görüşmek için toplandı ve artık arabalar için güvenli olmadığına karar verildi.",
    "fi": "Komitea kokoontui tiistaina keskustelemaan sillan kunnosta, ja päätettiin, ettei se ole enää turvallinen autoille.",
    "zh": "他们在星期二开会，讨论这座桥的情况，大家都说它不安全，所以我们不能再让人和车过去了，这是没有办法的事。",
    "ja": "委員会は火曜日に集まり、橋の状態について話し合い、安全ではないので閉鎖することになりました。",
    "ko": "위원회는 화요일에 다리의 상태를 논의하기 위해 모였고 더 이상 자동차에 안전하지 않다고 결정했습니다.",
    "ar": "اجتمعت اللجنة يوم الثلاثاء لمناقشة حالة الجسر وتقرر أنه لم يعد آمنا للسيارات ويجب إغلاقه.",
    "hi": "समिति की बैठक मंगलवार को पुल की हालत पर चर्चा करने के लिए हुई और यह तय किया गया कि वह अब सुरक्षित नहीं है।",
    "th": "คณะกรรมการประชุมกันเมื่อวันอังคารเพื่อหารือเกี่ยวกับสภาพของสะพานและตัดสินใจว่าไม่ปลอดภัยอีกต่อไป",
    "gl": "A comisión reuniuse o martes para falar do estado da ponte e decidiu que xa non era segura para os coches da vila.",
}
ODD = [
    "</s>",
    "__label__en",
    "__label__nothing",
    "<",
    ">",
    "\t",
    "x" * 90,
    "\u200b",
    "🙂",
    "1999",
    "a",
    "é",
    "\x00",
    "\n",
]


@pytest.fixture(scope="module")
def theirs():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fasttext.load_model(FILE)


@pytest.fixture(scope="module")
def ours():
    with open(FILE, "rb") as file:
        return read_labels(file.read(), FILE)


def texts_of(texts):
    return pa.array(texts, pa.large_string())


def mixed(number: int) -> str:
    """Words of a few languages, more of the first, with what fastText treats otherwise among them."""
    draw = [b for i in range(3) for b in hashlib.blake2b(b"%d %d" % (number, i)).digest()]
    words = []
    for at, one in enumerate(draw[: 5 + draw[0] % 40]):
        sentence = list(SENTENCES.values())[(number if at % 3 else one) % len(SENTENCES)].split()
        words.append(ODD[one % len(ODD)] if one > 240 else sentence[one % len(sentence)])
    return " ".join(words)


def agree(texts, ours, theirs):
    labels, model = ours
    found, chance = best_label(texts_of(texts), model, 1 << 20)
    for text, label, ours_chance in zip(texts, found.tolist(), chance.tolist(), strict=True):
        names, chances = theirs.predict(text.replace("\n", " "))  # it takes one line
        assert names[0] == f"__label__{labels[label]}" or abs(chances[0] - ours_chance) < 1e-6, text
        assert min(chances[0], 1) == pytest.approx(ours_chance, abs=2e-5), text


def test_a_thousand_texts_get_the_language_and_the_chance_that_fasttext_gives_them(ours, theirs):
    agree([mixed(number) for number in range(1000)], ours, theirs)


@settings(max_examples=60)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=8))
def test_any_text_does(ours, theirs, texts):
    agree(texts, ours, theirs)


@pytest.mark.parametrize("start", ["", "zusammengehörige"])
def test_what_was_read_before_changes_nothing(ours, start):
    """A thread keeps the sums of words. Two that have one place stay apart, also if their first sixteen bytes are the same."""
    _, model = ours
    letters = str.maketrans("0123456789", "aeioulnrst")
    words = [start + str(number**3).translate(letters) for number in range(2000)]
    low, high = np.frombuffer(b"".join(word.encode()[:16].ljust(16, b"\0") for word in words), "<u8").reshape(-1, 2).T
    places = _place_of.py_func(low, high).tolist()
    one, other = next((places.index(at), row) for row, at in enumerate(places) if places.index(at) < row)
    texts = [words[one], words[other], words[one], f"{words[other]} {words[one]} {words[other]}"]
    with ThreadPoolExecutor(1) as anew:
        fresh = [model._replace(vector=model.vector.copy()) for _ in texts]
        alone = [anew.submit(best_label, texts_of([text]), own, FIRST) for text, own in zip(texts, fresh, strict=True)]
    together = best_label(texts_of(texts), model, FIRST)
    np.testing.assert_array_equal(together, np.concatenate([found.result() for found in alone], axis=1))
    assert len(set(together[1].tolist())) == 3


def test_sentences_are_told_and_the_first_bytes_are_enough(ours):
    labels, model = ours
    for tag, sentence in list(SENTENCES.items())[:-1]:  # Galician is taken for Portuguese
        (label,), (chance,) = best_label(texts_of([sentence]), model, FIRST)
        assert (labels[label], chance > 0.5) == (tag, True)
    long = SENTENCES["de"] * 4 + SENTENCES["ru"] * 40
    cut = long.encode()[:FIRST].decode(errors="ignore")
    (label,), (chance,) = best_label(texts_of([long]), model, FIRST)
    assert (labels[label], chance) == ("de", best_label(texts_of([cut]), model, 1 << 20)[1][0])


def test_what_the_input_says_goes_first_and_what_is_not_sure_is_unknown():
    texts = texts_of([SENTENCES["fr"], SENTENCES["de"], "zzqx 4711", "", SENTENCES["fi"]])
    tags, chance = find_languages(texts)
    assert tags.to_pylist() == ["fr", "de", None, None, "fi"]
    assert chance[2] < 0.5 < chance[0]
    declared = pa.array(["en", None, None, None, None], pa.string())
    tags, sureness = spoken(declared, texts, np.array([True, True, True, True, False]))
    assert tags.to_pylist() == ["en", "de", None, None, None]  # the last is no prose
    assert [one is None for one in sureness.to_pylist()] == [True, False, False, False, True]


def test_a_damaged_file_is_refused_in_one_line():
    with open(FILE, "rb") as file:
        whole = file.read()
    for size in (0, 4, 30, 60, 100, 5_000, 200_000, 900_000, len(whole) - 1):
        with pytest.raises(DetectorError, match=r"^the file: ") as refused:
            read_labels(whole[:size], "the file")
        assert "\n" not in str(refused.value)
    for at in range(
        8, 120, 3
    ):  # a header that says something else is refused or read, and nothing but DetectorError is raised
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        with contextlib.suppress(DetectorError):
            read_labels(bytes(damaged), "the file")
