"""Phrases that models leave: what counts, where it must stand, what a quotation is, and which files are refused."""

import pathlib
import re

import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from transforms.kernels.text import phrases as search
from transforms.origin.phrase_files import PhraseError, compiled, fingerprint, load_phrases, parse_phrases

SHIPPED = load_phrases()
COMPILED = compiled(SHIPPED)


def found(*texts: str) -> list[str | None]:
    numbers = search.find(pa.array(texts, pa.large_string()), COMPILED)
    return [None if number == search.NONE else SHIPPED[number].id for number in numbers.tolist()]


@pytest.mark.parametrize("entry", SHIPPED, ids=lambda entry: entry.id)
def test_an_entry_finds_its_example_in_any_case_and_behind_white_space(entry) -> None:  # type: ignore[no-untyped-def]
    for text in (entry.example, entry.example.upper(), " \n" + entry.example):
        assert found(text)[0] is not None
    alone = compiled((entry,))
    assert search.find(pa.array([entry.example, "nothing"], pa.large_string()), alone).tolist() == [0, search.NONE]


@pytest.mark.parametrize("entry", [e for e in SHIPPED if e.where == "start"], ids=lambda entry: entry.id)
def test_a_preamble_counts_only_at_the_start(entry) -> None:  # type: ignore[no-untyped-def]
    assert found("He came in. " + entry.example, "He came in.\n" + entry.example) == [None, None]


@pytest.mark.parametrize("entry", [e for e in SHIPPED if e.where == "line"], ids=lambda entry: entry.id)
def test_a_marker_counts_only_at_the_start_of_a_line(entry) -> None:  # type: ignore[no-untyped-def]
    first = entry.example.split("\n")[0]
    assert found("He wrote: " + first, "He wrote:\n" + first) == [None, entry.id]


@pytest.mark.parametrize(
    "quoted",
    [
        'The program answered, "{}" and stopped.',
        "The program answered, “{}” and stopped.",
        "„{}“, sagte es.",
        "« {} », dit-il.",
        "它说：「{}」然后停了。",
        "it said ‘{}’ once more",
        "it said '{}', and no more",
        "It said:\n> {}\n",
        "Its output is `{}` here.",
        "Its output:\n```text\n{}\n```\nwhich",
        "“{}\n\nAnd a second paragraph.”",  # a quotation of two paragraphs is closed in the last one only
        '"{}\n\n"And a second paragraph."',
    ],
)
@pytest.mark.parametrize("name", ["en-as-an-ai", "en-knowledge-cutoff", "fr-as-an-ai", "zh-as-an-ai"])
def test_who_quotes_a_model_is_not_one(quoted: str, name: str) -> None:
    entry = next(entry for entry in SHIPPED if entry.id == name)
    assert found(entry.example, quoted.format(entry.example)) == [name, None]


def test_talk_about_models_is_not_talk_of_one() -> None:
    assert (
        found(
            "As an AI researcher, I have read much of this.",
            "As an AI language model gets larger, it needs more text.",
            "Chatbots used to start with as an AI language model, which became a joke.",
            "I am an AI assistant professor at the university.",
            "Here is the house that Jack built: it is small.",
            "Sure, here is my answer to your question. I went there in 1998.",
            "We report the knowledge cutoff of every model that we tested.",
            "I'm sorry, but I can't come on Tuesday.",
            "以下是我的看法：他错了。",
        )
        == [None] * 9
    )


@pytest.mark.slow
@given(
    st.lists(st.sampled_from([e.example for e in SHIPPED] + ["plain text", '"', "> ", "\n", "It said: "]), max_size=6)
)
def test_a_batch_finds_what_each_text_alone_has_and_the_quick_search_loses_nothing(pieces: list[str]) -> None:
    texts = ["".join(pieces[:n]) for n in range(len(pieces) + 1)]
    assert found(*texts) == [found(text)[0] for text in texts]
    slow = []
    for text in texts:
        bare = search.without_quotations(pa.array([text], pa.large_string()))[0].as_py()
        for entry, pattern in zip(SHIPPED, COMPILED.patterns, strict=True):
            one = pa.array([text[: search.HEAD_CHARS] if entry.where == "start" else bare], pa.large_string())
            if len(search._where(one, pattern)):
                slow.append(entry.id)
                break
        else:
            slow.append(None)
    assert found(*texts) == slow


def test_no_text_and_no_phrases() -> None:
    assert found() == []
    assert search.find(pa.array(["a"], pa.large_string()), compiled(())).tolist() == [search.NONE]


def entry(**changes: object) -> str:
    one = {
        "id": "mine", "language": "en", "proves": "a test", "where": "anywhere", "contains": ["bleep bloop"],
        "pattern": "bleep bloop,? i", "example": "Bleep bloop, I am a robot.",
    }  # fmt: skip
    return yaml.safe_dump({"entries": [{key: value for key, value in (one | changes).items() if value is not None}]})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (entry(pattern="bleep (?=bloop)"), "entry 'mine': RE2 does not take its pattern .*no look-around"),
        (entry(pattern=r"(b)leep \1"), "entry 'mine': RE2 does not take its pattern"),
        (entry(pattern="bleep ("), "entry 'mine': RE2 does not take its pattern"),
        (entry(where="end"), "entry 'mine': where: .*known keys"),
        (entry(patern="x"), "entry 'mine': patern: extra inputs are not permitted"),
        (entry(contains=None), "entry 'mine': contains: field required"),
        (entry(contains=["Bleep"]), "in lower case"),
        (entry(contains=["an"]), "'an' is too short"),
        (entry(contains=["otherwise"]), "does not find its own example"),
        (entry(where="start", example="So: bleep bloop, I"), "does not find its own example"),
        (entry(example='"Bleep bloop, I am"'), "does not find its own example.*quotation marks"),
        (entry(proves=None), "entry 'mine': proves: field required"),
        (entry() + entry().partition("\n")[2], "two entries are called 'mine'"),
        ("entries: [5]", "entry 0"),
        ("entries: {", "line 2: not YAML"),
        ("[]", "a mapping with one key, `entries`"),
        ("", "a mapping with one key, `entries`"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_entry(text: str, said: str) -> None:
    with pytest.raises(PhraseError, match=r"^own\.yaml") as error:
        parse_phrases(text, "own.yaml")
    assert re.search(said, str(error.value)), str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_of_ones_own_adds_and_replaces(tmp_path: pathlib.Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(entry())
    assert [e.id for e in load_phrases(str(own))] == [*(e.id for e in SHIPPED), "mine"]
    own.write_text(entry(id="en-as-an-ai"))
    replaced = load_phrases(str(own))
    assert [e.id for e in replaced] == [e.id for e in SHIPPED]
    assert fingerprint(replaced) != fingerprint(SHIPPED)
    with pytest.raises(PhraseError, match="not found; give the path of a YAML file"):
        load_phrases(str(tmp_path / "none.yaml"))


def test_the_fingerprint_is_of_what_is_found_and_not_of_words_about_it(tmp_path: pathlib.Path) -> None:
    def of(**changes: object) -> str:
        return fingerprint(tuple(parse_phrases(entry(**changes), "own.yaml")))

    assert of() == of(proves="something else", language="de")
    assert len({of(), of(pattern="bleep bloop"), of(where="line"), of(contains=["bleep b"])}) == 4


def test_a_pattern_that_would_take_others_for_ever_is_quick() -> None:
    """`(a+)+$` backtracks 2^n times elsewhere; RE2 is linear."""
    text = entry(pattern="(a+)+$", contains=["aaaaaaa"], example="aaaaaaa")
    own = compiled(tuple(parse_phrases(text, "own.yaml")))
    assert search.find(pa.array(["a" * 100_000 + "b"], pa.large_string()), own).tolist() == [search.NONE]
