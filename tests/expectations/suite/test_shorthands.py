"""Expectations by name: the same as the generic one with the choices made, and as strict."""

import jsonschema
import pytest

from expectations.metrics.declared import METRICS
from expectations.suite.shorthands import NAMED
from expectations.suite.suite import SuiteError, load_suite, suite_schema
from expectations.wording import SLICE_KINDS


def one(name, **keys):
    return load_suite({"expectations": [{"expect": name, **keys}]}).expectations[0]


def generic(metric, **keys):
    return one("metric_to_be_between", metric=metric, **keys)


@pytest.mark.parametrize(
    ("named", "spelt_out"),
    [
        (
            one("synthetic_share_to_be_at_most", max=0.1),
            generic("synthetic_share.tokens", bound="upper", max=0.1),
        ),
        (
            one("synthetic_share_to_be_at_most", max="$max_synthetic_share * 2", of="documents", slice_kind="source",
                slice="web", severity="warning", notes="n", min_documents=5),
            generic("synthetic_share.documents", bound="upper", max="$max_synthetic_share * 2", slice_kind="source",
                    slice="web", severity="warning", notes="n", min_documents=5),
        ),
        (one("source_share_to_be_at_most", max=0.5), generic("source.max_share", max=0.5)),
        (
            one("diversity_ratio_to_be_at_least", min=0.9, of="structure.effective_number_ratio", slice="gender"),
            generic("structure.effective_number_ratio", min=0.9, slice_kind="system", slice="gender", bound="lower",
                    unsure="inconclusive"),
        ),
        (
            one("duplicate_share_to_be_at_most", max=0.2, of="exact"),
            generic("duplicates.exact_fraction", stage="before", max=0.2),
        ),
    ],
)  # fmt: skip
def test_a_name_stands_for_choices_that_are_made(named, spelt_out):
    assert named == spelt_out


@pytest.mark.parametrize(
    ("name", "keys", "said"),
    [
        ("synthetic_share_to_be_at_most", {}, "expectations[0]: max: synthetic_share_to_be_at_most needs it"),
        (
            "synthetic_share_to_be_at_most",
            {"max": 0.1, "bound": "value"},
            "bound: synthetic_share_to_be_at_most does not",
        ),
        ("synthetic_share_to_be_at_most", {"max": 0.1, "off": "tokens"}, "did you mean 'of'?"),
        ("synthetic_share_to_be_at_most", {"max": 0.1, "of": "token"}, "of: unknown 'token'; did you mean 'tokens'?"),
        ("synthetic_share_to_be_at_most", {"max": 0.1, "of": ["tokens"]}, "of: "),
        ("synthetic_share_to_be_at_most", {"max": 0.1, "slice_kind": "sorce"}, "did you mean 'source'?"),
        ("synthetic_share_to_be_at_most", {"max": 0.1, "severity": "crit"}, "did you mean 'critical'?"),
        ("synthetic_share_to_be_at_most", {"max": 0.1, "slice": "web"}, "slice 'web' needs a slice_kind"),
        (
            "source_share_to_be_at_most",
            {"max": 0.1, "slice": "web"},
            "slice: source_share_to_be_at_most does not take it",
        ),
        ("synthetic_share_to_be_at_mots", {"max": 0.1}, "did you mean 'synthetic_share_to_be_at_most'?"),
    ],
)
def test_what_a_name_does_not_take_is_refused(name, keys, said):
    with pytest.raises(SuiteError) as raised:
        one(name, **keys)
    assert said in str(raised.value)


@pytest.mark.parametrize("name", list(NAMED))
def test_every_name_loads_with_everything_it_takes_and_so_does_its_schema(name):
    named = NAMED[name]
    validator = jsonschema.Draft202012Validator(suite_schema())
    for of, metric in named.of.items():
        assert metric in METRICS
        for kind in named.slices:
            assert kind in SLICE_KINDS
            keys = {named.side: sum(METRICS[metric].range) / 2 if METRICS[metric].range[1] == 1 else 1.5}
            keys |= {"of": of} if len(named.of) > 1 else {}
            keys |= {"slice_kind": kind} if len(named.slices) > 1 else {}
            found = one(name, **keys)
            assert (found.metric, found.slice_kind, found.stage, found.bound) == (
                metric,
                kind,
                named.stage,
                named.bound,
            )
            validator.validate({"suite": "s", "expectations": [{"expect": name, **keys}]})
    for wrong in ({}, {named.side: 0.5, "bound": "value"}, {named.side: 0.5, "severity": "crit"}):
        assert not validator.is_valid({"suite": "s", "expectations": [{"expect": name, **wrong}]})
