"""A file of systems is read strictly: what we do not understand is refused in one line, with its place and what is right."""

import pathlib

import jsonschema
import pytest
import yaml

from expectations.metrics import declared
from expectations.structures.expected import documents_needed, rules
from expectations.structures.system import StructureReference, StructuresError, System
from expectations.structures.systems_file import load_systems, systems_schema, systems_yaml
from expectations.suite.suite import SuiteError

GALLERY = pathlib.Path(__file__).parents[2] / "examples" / "structures"
WOMAN = {"id": "woman", "kind": "lexicon", "terms": ["she", "her"]}
SAMPLE = {"positives": 400, "found": 352, "negatives": 600, "alarmed": 12}
SCORED = {"id": "warm", "kind": "classifier", "column": "warmth", "threshold": 0.5, "sample": SAMPLE}
MAN = {"id": "man", "kind": "regex", "pattern": r"\bhe\b"}


def system(**changes: object) -> dict:
    data = {"id": "gender", "owner": {"team": "us"}, "rationale": "why", "structures": [WOMAN, MAN]}
    return {key: value for key, value in {**data, **changes}.items() if value is not None}


def load(folder: pathlib.Path, *systems: dict) -> tuple[System, ...]:
    (folder / "s.yaml").write_text(yaml.safe_dump({"systems": list(systems)}, allow_unicode=True))
    return load_systems(["s.yaml"], str(folder))


def expecting(rule: dict, **changes: object) -> dict:
    return system(expectations=[rule], **changes)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (system(ownr={"team": "us"}), "systems[0].ownr: unknown key; did you mean 'owner'?"),
        (system(owner=None), "systems[0].owner: is missing"),
        (system(owner="me"), "systems[0].owner: an owner is a team and how to reach it, {team: ..., contact: ...}, got 'me'"),
        (system(rationale=None), "systems[0].rationale: is missing"),
        (system(rationale=""), "systems[0].rationale: string should have at least 1 character, got ''"),
        (system(owner={"team": "us", "contct": "x"}), "systems[0].owner.contct: unknown key; did you mean 'contact'?"),
        (system(slice={"langage": "en"}), "systems[0].slice.langage: unknown key; did you mean 'language'?"),
        (system(slice={"origin": "humn"}), "unknown origin 'humn'; did you mean 'human'?"),
        (system(weight="doc"), "systems[0].weight: unknown value 'doc'; known: 'docs' or 'tokens'"),
        (system(structures=[]), "systems[0].structures: "),
        (system(structures=[{**MAN, "id": f"s{i}"} for i in range(13)]), "at most 12 items"),
        (system(structures=[WOMAN, WOMAN]), "two structures are called 'woman'; give each its own id"),
        (system(structures=[{**WOMAN, "kind": "lexikon"}]), "structures[0]: unknown kind 'lexikon'; did you mean 'lexicon'?"),
        (system(structures=[{"id": "x"}]), "structures[0]: has no `kind`"),
        (system(structures=[{**WOMAN, "terms": []}]), "gender.woman has no terms; give `terms` or `terms_file`"),
        (system(structures=[{**WOMAN, "term": ["x"]}]), "structures[0].term: unknown key; did you mean 'terms'?"),
        (system(structures=[{**WOMAN, "terms": [True]}]), "YAML read this as true; put the word in quotes"),
        (system(structures=[{**WOMAN, "terms_file": "none.txt"}]), "none.txt: No such file or directory"),
        (system(structures=[{**MAN, "pattern": "(he"}]), "structures[0].pattern: RE2 cannot use the pattern (missing )"),
        (system(structures=[{**MAN, "pattern": "(?<=a)b"}]), "no look-around"),
        (system(structures=[{**MAN, "pattern": "a*"}]), "matches the empty text, so every document"),
        (system(structures=[{"id": "t", "kind": "column", "column": "text", "values": "x"}]), "'text' is no label"),
        (
            system(structures=[{"id": "kind", "kind": "classifier", "column": "m", "threshold": 0.5}]),
            "kind 'classifier' needs a labelled sample, or it takes its own errors for a norm",
        ),
        (system(structures=[{**SCORED, "column": None}]), "either a `column` of scores or a `model`"),
        (system(structures=[{**SCORED, "column": "text"}]), "'text' is no column of scores"),
        (system(structures=[{**SCORED, "threshold": float("nan")}]), "no number that can be used"),
        (system(structures=[{**SCORED, "treshold": 1}]), "structures[0].treshold: unknown key; did you mean 'threshold'?"),
        (system(structures=[{**SCORED, "sample": {**SAMPLE, "faund": 1}}]), "sample.faund: unknown key; did you mean 'found'?"),
        (system(structures=[{**SCORED, "sample": {**SAMPLE, "found": 401}}]), "found is more than positives"),
        (system(structures=[{**SCORED, "sample": {**SAMPLE, "alarmed": 590}}]), "so it tells nothing; use another threshold"),
        (system(structures=[SCORED], weight="tokens"), "its errors are counted in documents"),
        (
            expecting({"kind": "expected_deviance_ratio", "min": 0.9}, structures=[WOMAN, SCORED]),
            "what the classifier of 'warm' gets wrong cannot be corrected there; ask for min_share",
        ),
        (expecting({"kind": "core_effective_number", "min_ratio": 0.9}, structures=[SCORED]), "core_effective_number rests on"),
        (
            expecting({"kind": "target_distribution", "group": ["woman", "warm"], "max": 0.1}, structures=[WOMAN, SCORED]),
            "target_distribution rests on how structures meet",
        ),
        (
            expecting(
                {"kind": "association", "given": "woman", "then": "warm", "vs_given": "man", "max_risk_ratio": 1.2},
                structures=[WOMAN, MAN, SCORED],
            ),
            "association rests on how structures meet",
        ),
        (system(reference="previous"), "write human_subset, uniform, {release: FOLDER} or a share for each structure"),
        (system(reference={"woman": 0.5}), "look at 'man'"),
        (system(reference={"woman": 0.5, "man": 1.5}), "less than or equal to 1"),
        (system(slice={"origin": "synthetic"}), "human_subset is empty in a slice without origin human"),
        (expecting({"kind": "retantion", "min": 0.8}), "expectations[0]: unknown kind 'retantion'; did you mean 'retention'?"),
        (expecting({"kind": "retention", "min": 0.8, "severity": "error"}), "unknown value 'error'; known: 'critical'"),
        (expecting({"kind": "retention", "min": True}), "YAML read this as true"),
        (expecting({"kind": "retention", "min": 0}), "greater than 0"),
        (expecting({"kind": "max_core", "max": float("nan")}), "no number that can be used"),
        (expecting({"kind": "min_share", "structure": "wman", "min": 0.1}), "names 'wman', which is no structure"),
        (expecting({"kind": "retention", "structures": ["men"], "min": 0.8}), "did you mean 'man'?"),
        (expecting({"kind": "target_distribution", "group": ["woman", "man"], "target": {"woman": 1.0}, "max": 0.1}), "`target`"),
        (expecting({"kind": "expected_deviance_ratio", "min": 0.9}, reference="uniform"), "reference made of documents"),
        (expecting({"kind": "stage_delta", "stage": "filter", "max_retention_loss": 0.1}), "known: 'dedup' or 'balance'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(tmp_path: pathlib.Path, data: dict, message: str) -> None:
    with pytest.raises(StructuresError) as error:
        load(tmp_path, data)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert "s.yaml" in str(error.value) or "none.txt" in str(error.value)


@pytest.mark.parametrize("name", ["<script>", "a/b", "a b", "../x", "Gender", "", "a\u202eb", "x" * 41, "a*", "1a"])
def test_ids_are_plain_because_they_become_names_of_slices(tmp_path: pathlib.Path, name: str) -> None:
    for data in (system(id=name), system(structures=[{**WOMAN, "id": name}])):
        with pytest.raises(StructuresError, match="is no id; use at most 40 small letters"):
            load(tmp_path, data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("systems: []", "s.yaml, line 1: systems: "),
        ("- a", "s.yaml: it is a mapping with the key 'systems', got list"),
        ("systems: [", "line 2: not YAML"),
        ("systems: 3", "s.yaml, line 1: systems: "),
        ("systems: [3]", "s.yaml, line 1: systems[0]: "),
        ("systems:\n- {id: a, id: b}", "'id' is given twice"),
        ("system: []", "s.yaml, line 1: system: unknown key; did you mean 'systems'?"),
        ("systems: [{structures: 3, reference: {release: 3}}]", "s.yaml, line 1: systems[0]"),
    ],
)
def test_what_is_no_file_of_systems(tmp_path: pathlib.Path, text: str, message: str) -> None:
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(StructuresError) as error:
        load_systems(["s.yaml"], str(tmp_path))
    assert message in str(error.value)


def test_files_that_are_not_there_or_not_text(tmp_path: pathlib.Path) -> None:
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe")
    for name in ("a.yaml", "b.yaml", "\0"):
        with pytest.raises(StructuresError, match="structures: cannot read"):
            load_systems([name], str(tmp_path))
    assert issubclass(StructuresError, SuiteError)  # so the command line says it in one line, with exit code 2


def test_two_systems_of_one_name_are_refused_wherever_they_are(tmp_path: pathlib.Path) -> None:
    with pytest.raises(StructuresError, match="two systems are called 'gender'"):
        load(tmp_path, system(), system())


def test_terms_of_a_file_become_part_of_the_system(tmp_path: pathlib.Path) -> None:
    (tmp_path / "lex").mkdir()
    (tmp_path / "lex" / "w.txt").write_text("# a list\nhers  # of her\n\n  two words \nc#\n#x\n")
    found = load(tmp_path, system(structures=[{**WOMAN, "terms_file": "lex/w.txt"}]))
    assert found[0].structures[0].terms == ("she", "her", "hers", "two words", "c#")
    (tmp_path / "copy.yaml").write_text(systems_yaml(found))
    assert load_systems(["copy.yaml"], str(tmp_path)) == found


def test_the_definition_is_what_is_counted_and_nothing_else(tmp_path: pathlib.Path) -> None:
    base = load(tmp_path, system())[0]
    for same in (
        system(owner={"team": "others"}),
        system(rationale="else"),
        system(reference="uniform"),
        system(structures=[{**WOMAN, "note": "n"}, MAN]),
        expecting({"kind": "retention", "min": 0.5}),
    ):
        other = load(tmp_path, same)[0]
        assert other.definition() == base.definition()
        assert other.sha256() != base.sha256()
    for different in (
        system(slice={"language": "en"}),
        system(weight="tokens"),
        system(structures=[{**WOMAN, "terms": ["she"]}, MAN]),
        system(structures=[MAN, WOMAN]),
    ):
        assert load(tmp_path, different)[0].definition() != base.definition()


def test_another_slice_looks_for_the_same_in_a_document_unless_it_asks_for_columns(tmp_path: pathlib.Path) -> None:
    base = load(tmp_path, system())[0]
    german = load(tmp_path, system(slice={"language": "de"}, weight="tokens"))[0]
    assert german.looked_for() == base.looked_for()
    assert load(tmp_path, system(slice={"columns": {"genre": "fiction"}}))[0].looked_for() != base.looked_for()
    assert load(tmp_path, system(structures=[MAN, WOMAN]))[0].looked_for() != base.looked_for()


def test_references_read_and_written(tmp_path: pathlib.Path) -> None:
    for value in ("human_subset", "uniform", {"woman": 0.4, "man": 0.6}):
        found = load(tmp_path, system(reference=value))[0].reference
        assert found.model_dump() == value
    earlier = load(tmp_path, system(reference={"release": "old/one"}))[0].reference
    assert earlier == StructureReference.model_validate({"release": str(tmp_path / "old" / "one")})


def test_documents_that_it_takes() -> None:
    """The table of the reference: a fifth of a structure gone, 95 % and power 80 %."""
    needed = [documents_needed(core) for core in (0.5, 0.1, 0.025, 0.01, 0.002)]
    assert needed == [280, 2520, 10920, 27720, 139720]
    assert documents_needed(1.0) == 0
    assert documents_needed(0.0) > 10**15


def test_each_rule_asks_for_the_bound_that_speaks_against_the_release(tmp_path: pathlib.Path) -> None:
    asked = [
        {"kind": "min_share", "structure": "man", "min": 0.1, "notes": "not fewer"},
        {"kind": "avoid", "structure": "man", "max": 0.05},
        {"kind": "max_core", "max": 0.7, "severity": "warning"},
        {"kind": "retention", "structures": ["man"], "min": 0.8},
        {"kind": "expected_deviance_ratio", "min": 0.9},
        {"kind": "core_effective_number", "min_ratio": 0.9},
        {"kind": "target_distribution", "group": ["woman", "man"], "max": 0.02},
        {"kind": "association", "given": "woman", "then": "man", "vs_given": "man", "max_risk_ratio": 1.25},
        {"kind": "stage_delta", "stage": "balance", "max_retention_loss": 0.1},
    ]
    found = list(rules(load(tmp_path, system(expectations=asked))))
    said = [(r.metric.split(".")[1], r.stage, r.slice, r.bound, r.min, r.max, r.min_documents) for r in found]
    assert said == [
        ("core", "after", "gender/man", "lower", 0.1, None, 2520),
        ("core", "after", "gender/man", "upper", None, 0.05, 5320),
        ("core", "after", "gender/*", "upper", None, 0.7, 300),
        ("retention", "after", "gender/man", "lower", 0.8, None, 0),
        ("expected_deviance_ratio", "after", "gender", "lower", 0.9, None, 0),
        ("effective_number_ratio", "after", "gender", "lower", 0.9, None, 0),
        ("divergence", "after", "gender/woman+man", "upper", None, 0.02, 0),
        ("association", "after", "gender/man given woman against man", "upper", None, 1.25, 0),
        ("stage_retention", "after", "gender/*", "value", 0.9, None, 0),
    ]
    assert found[0].notes == "gender, owned by us: not fewer"
    assert found[2].severity == "warning"
    assert {r.metric for r in found} <= set(declared.METRICS)


def test_of_a_classifier_a_stage_is_judged_by_its_bound(tmp_path: pathlib.Path) -> None:
    """What it found is counted; what is there is estimated."""
    asked = {"kind": "stage_delta", "stage": "dedup", "max_retention_loss": 0.1}
    others = {"kind": "target_distribution", "group": ["woman", "man"], "max": 0.1}
    one = load(tmp_path, system(structures=[WOMAN, MAN, SCORED], expectations=[asked, others]))[0]
    found = [(rule.slice, rule.bound) for rule in rules((one,))]
    assert found == [
        ("gender/woman", "value"),
        ("gender/man", "value"),
        ("gender/warm", "lower"),
        ("gender/woman+man", "upper"),
    ]
    (tmp_path / "copy.yaml").write_text(systems_yaml((one,)))
    assert load_systems(["copy.yaml"], str(tmp_path)) == (one,)
    more = {**SCORED, "sample": {**SAMPLE, "negatives": 6000}}
    assert load(tmp_path, system(structures=[WOMAN, MAN, more]))[0].definition() == one.definition()


def test_the_gallery_loads_and_says_who_and_why() -> None:
    systems = load_systems(sorted(path.name for path in GALLERY.glob("*.yaml")), str(GALLERY))
    assert len(systems) >= 3
    for one in systems:
        assert one.owner.team
        assert one.rationale
        assert one.expectations
    assert list(rules(systems))


def test_the_schema_for_editors_knows_every_kind() -> None:
    said = str(systems_schema())
    for kind in ("lexicon", "regex", "column", "classifier", "min_share", "association", "stage_delta"):
        assert f"'{kind}'" in said


@pytest.mark.parametrize("path", sorted(GALLERY.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_schema_for_editors_takes_the_examples(path: pathlib.Path) -> None:
    jsonschema.validate(yaml.safe_load(path.read_text()), systems_schema())


@pytest.mark.parametrize("reference", ["human_subset", "uniform", {"release": "out/v1"}, {"woman": 0.4, "man": 0.6}])
def test_the_schema_for_editors_takes_references_as_people_write_them(reference: object) -> None:
    jsonschema.validate({"systems": [system(reference=reference)]}, systems_schema())


@pytest.mark.parametrize("reference", ["human_subse", {"woman": "0.4"}, {}, 3])
def test_the_schema_for_editors_refuses_what_is_no_reference(reference: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"systems": [system(reference=reference)]}, systems_schema())
