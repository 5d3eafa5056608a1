"""Great Expectations, behind one function. The only file that imports it, and only when a suite is run.

Why so guarded: importing Great Expectations takes seconds and swallows every Python warning of the process afterwards;
left to itself it would use whatever project or cloud the current folder names. Its suites drop what they do not
understand, its results come in another order, and an expectation that looked at nothing counts as met. Each of these is
turned off or turned into an error here, and tests/expectations/judge/test_gx.py reproduces them.

`register` is for other users of Great Expectations, who may ask our metrics table (`metrics.parquet` of a release) by the
names of expectations/suite/shorthands.py; `data_docs` shows a validation as they are used to see it.
"""

import contextlib
import functools
import logging
import re
import types
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pandas

from expectations import wording
from expectations.judge.rule import compare
from expectations.metrics import declared

if TYPE_CHECKING:  # the process that judges reads no suite, and goes without what reads them
    from expectations.suite.shorthands import Named
    from expectations.suite.suite import Expectation, Suite


def validate(table: pandas.DataFrame, suite: "Suite") -> list[dict[str, Any]]:
    """Run a suite on the metrics table with Great Expectations.

    Args:
      table: the columns of `contracts.METRICS`.
      suite: with every parameter resolved (`Suite.resolve`).

    Returns:
      One dict per expectation, in the order of the suite: `key` (its path in the suite), `status` ("pass", "fail",
      "inconclusive": too few documents, or "error": nothing was selected, or a number is missing or not finite), `error`
      (why, or None), and `rows`, the selected rows of `table` with `observed` (the number that was compared), `needed`
      (documents that it takes) and their own `status`.
    """
    gx = _great_expectations()
    context = gx.get_context(mode="ephemeral")  # without the mode, a gx/ folder here or a cloud variable would be used
    context.variables.progress_bars = gx.ProgressBarsConfig(globally=False, metric_calculations=False)
    keys = [f"expectations[{place}]" for place in range(len(suite.expectations))]
    built = gx.ExpectationSuite(name="suite")
    # Appended, not passed or added: those two drop unknown expectations and merge equal ones.
    built.expectations += [_domain_object(gx, item, key) for item, key in zip(suite.expectations, keys, strict=True)]
    asset = context.data_sources.add_pandas("release").add_dataframe_asset("metrics")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch(batch_parameters={"dataframe": table})
    found = batch.validate(built, result_format={"result_format": "SUMMARY", "partial_unexpected_count": 0})
    results = {result.expectation_config.meta["key"]: result for result in found.results}
    return [_plain(key, results.get(key)) for key in keys]


def _domain_object(gx: types.SimpleNamespace, item: "Expectation", key: str) -> Any:
    return gx.ExpectationConfiguration(
        type="expect_metric_to_be_between",
        kwargs={
            "metric": item.metric,
            "stage": item.stage,
            "slice_kind": item.slice_kind,
            "slice": item.slice,
            "bound": item.bound,
            "min_value": item.min,
            "max_value": item.max,
            "min_documents": item.min_documents,
            "unsure": item.unsure,
        },
        severity=item.severity,
        meta={"key": key},
    ).to_domain_obj()


def _plain(key: str, result: Any) -> dict[str, Any]:
    """Our own dict for one result; anything but a clear pass or fail is an error."""
    if result is None:
        return {"key": key, "status": "error", "error": "Great Expectations returned no result for it", "rows": []}
    info = result.exception_info or {}
    raised = [part for part in ([info] if "raised_exception" in info else info.values()) if part["raised_exception"]]
    if raised:
        error = " ".join(str(raised[0]["exception_message"]).split())
        return {"key": key, "status": "error", "error": error, "rows": []}
    details = result.result["details"]
    status = details["status"]
    assert (status == "pass") == bool(result.success), (key, status, result.success)
    return {"key": key, "status": status, "error": details["error"], "rows": details["rows"]}


def register() -> types.SimpleNamespace:
    """Register our expectations with Great Expectations, and give them back by name.

    They ask tables with the columns of `contracts.METRICS`, such as `pandas.read_parquet("RELEASE/metrics.parquet")`:
    `ExpectMetricToBeBetween`, and one for each name of `domain.NAMED`, such as
    `ExpectSyntheticShareToBeAtMost(max_value=0.1, of="documents", slice_kind="source")`.
    """
    return _by_name()


def data_docs(validation: Mapping[str, Any]) -> str:
    """A validation (`native.validation`) as a page of Data Docs, by Great Expectations' own renderer.

    The page makes no request and runs no script: what Great Expectations would load from elsewhere is cut out, and a
    content security policy forbids the rest. Whatever comes from data is given to it as the parameter of a template, which
    it escapes; its name of the suite is not, and is made harmless here.
    """
    gx = _great_expectations()
    _by_name()
    name = "".join(c if c.isalnum() or c in " ._-" else "_" for c in str(validation["suite_name"]))
    page = gx.page(gx.load_validation({**validation, "suite_name": name}))
    page = re.sub(r"<script\b.*?</script>|<(?:script|link|img)\b[^>]*>", "", page, flags=re.DOTALL | re.IGNORECASE)
    page = re.sub(r'\sonclick="[^"]*"', "", page)
    return page.replace("<head>", f"<head>\n{_HEAD}", 1)


_HEAD = """<meta name="generator" content="lowbackground">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 1.5rem; color: #222; background: #fff; }
table { border-collapse: collapse; } td, th { border: 1px solid #ccc; padding: .4rem .7rem; text-align: left; }
nav, footer, .modal, #ge-cta-footer, .walkthrough-card, button, input, label { display: none !important; }
</style>"""


@functools.cache  # as those below
def _by_name() -> types.SimpleNamespace:
    """Our expectations by their names, all registered."""
    from expectations.suite.shorthands import NAMED

    gx = _great_expectations()

    def by_name(name: str, named: "Named") -> Any:
        side = f"{named.side}_value"

        def choose(cls: type, values: dict[str, Any]) -> dict[str, Any]:
            metric = named.metric(values.get("of"))
            if values.get("metric", metric) != metric:
                raise ValueError(f"metric: {name} reads {metric}; choose by `of`: {', '.join(named.of)}")
            kind = values.get("slice_kind") or named.slice_kind(metric)
            if kind not in named.slices:
                raise ValueError(f"slice_kind: one of {', '.join(named.slices)}, not {kind!r}")
            return values | {"metric": metric, "slice_kind": kind}

        body = {
            "__module__": __name__,
            "__doc__": named.about.replace("`max`", "`max_value`").replace("`min`", "`min_value`"),
            "__annotations__": {"of": str, "metric": str, "slice_kind": str, "stage": str, "bound": str, "unsure": str}
            | {side: float},
            "of": next(iter(named.of)),
            "metric": "",
            "slice_kind": "",
            "stage": named.stage,
            "bound": named.bound,
            "unsure": named.unsure,
            "_choose": gx.root_validator(pre=True, allow_reuse=True)(choose),
        }
        metaclass: Any = type(gx.ours)
        return metaclass(_class_name(name), (gx.ours,), body)

    own: dict[str, Any] = {"ExpectMetricToBeBetween": gx.ours}
    return types.SimpleNamespace(**own, **{_class_name(name): by_name(name, named) for name, named in NAMED.items()})


@functools.cache  # the classes below may be registered once per process
def _great_expectations() -> types.SimpleNamespace:
    """What we use of Great Expectations, with our expectation registered."""
    with _quiet():
        import great_expectations
        from great_expectations.compatibility import pydantic as pydantic1
        from great_expectations.core.expectation_validation_result import expectationSuiteValidationResultSchema
        from great_expectations.core.metric_domain_types import MetricDomainTypes
        from great_expectations.data_context.types.base import ProgressBarsConfig
        from great_expectations.execution_engine import PandasExecutionEngine
        from great_expectations.expectations.expectation import BatchExpectation
        from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
        from great_expectations.expectations.metrics.metric_provider import metric_value
        from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
        from great_expectations.render import (
            LegacyDiagnosticRendererType,
            LegacyRendererType,
            RenderedStringTemplateContent,
        )
        from great_expectations.render.renderer import ValidationResultsPageRenderer
        from great_expectations.render.renderer.renderer import renderer
        from great_expectations.render.view import DefaultJinjaPageView

    class MetricRows(TableMetricProvider):
        """The rows of the metrics table that an expectation is about."""

        metric_name = "lowbackground.metric_rows"
        value_keys = ("metric", "stage", "slice_kind", "slice")

        @metric_value(engine=PandasExecutionEngine)  # which makes it a class method
        def _pandas(  # type: ignore[no-untyped-def]
            cls,  # noqa: N805
            execution_engine,
            metric_domain_kwargs,
            metric_value_kwargs,
            metrics,
            runtime_configuration,
        ):
            frame, _, _ = execution_engine.get_compute_domain(
                domain_kwargs=metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE
            )
            chosen = frame["metric"].notna()
            for column, wanted in metric_value_kwargs.items():
                if column == "slice" and wanted is not None and wanted.endswith("/*"):
                    chosen &= frame[column].str.startswith(wanted[:-1])
                elif wanted is not None:
                    chosen &= frame[column] == wanted
            return frame[chosen].astype(object).to_dict("records")

    class ExpectMetricToBeBetween(BatchExpectation):
        """A metric, or one of its bounds, lies within limits in every selected slice."""

        metric: str
        stage: str
        slice_kind: str
        slice: str | None = None
        bound: str = "value"
        min_value: float | None = None
        max_value: float | None = None
        min_documents: int = 0
        unsure: str = "fail"

        metric_dependencies = ("lowbackground.metric_rows",)
        success_keys = (
            "metric",
            "stage",
            "slice_kind",
            "slice",
            "bound",
            "min_value",
            "max_value",
            "min_documents",
            "unsure",
        )
        args_keys = success_keys

        def _validate(self, metrics, runtime_configuration=None, execution_engine=None):  # type: ignore[no-untyped-def]
            rows = metrics["lowbackground.metric_rows"]
            details = compare(rows, self.bound, self.min_value, self.max_value, self.min_documents, self.unsure)
            return {"success": details["status"] == "pass", "result": {"details": details}}

        @classmethod
        @renderer(renderer_type=LegacyRendererType.PRESCRIPTIVE)
        def _prescriptive_renderer(cls, configuration=None, result=None, runtime_configuration=None):  # type: ignore[no-untyped-def]
            words = _asked(cls, configuration or result.expectation_config)
            template = {
                "template": "$what: $asked ($severity). $notes",
                "params": words,
                "styling": {},
            }  # without it nothing is escaped
            return [RenderedStringTemplateContent(content_block_type="string_template", string_template=template)]

        @classmethod
        @renderer(renderer_type=LegacyDiagnosticRendererType.OBSERVED_VALUE)
        def _diagnostic_observed_value_renderer(  # type: ignore[no-untyped-def]
            cls, configuration=None, result=None, runtime_configuration=None
        ):
            return _seen(result.result.get("details") or {})  # numbers and words of ours: it is not escaped

    return types.SimpleNamespace(
        ours=ExpectMetricToBeBetween,
        root_validator=pydantic1.root_validator,
        load_validation=expectationSuiteValidationResultSchema.load,
        page=lambda result: DefaultJinjaPageView().render(ValidationResultsPageRenderer().render(result)),
        get_context=great_expectations.get_context,
        ExpectationSuite=great_expectations.ExpectationSuite,
        ExpectationConfiguration=ExpectationConfiguration,
        ProgressBarsConfig=ProgressBarsConfig,
    )


def _class_name(name: str) -> str:
    return "Expect" + "".join(word.capitalize() for word in name.split("_"))


def _asked(cls: Any, configuration: Any) -> dict[str, str]:
    """What an expectation asks for, in words."""
    asked = {name: field.default for name, field in cls.__fields__.items()} | dict(configuration.kwargs)
    bound = "" if asked["bound"] == "value" else f", by the {asked['bound']} bound"
    low, high = (
        (value if isinstance(value, int | float) else None) for value in (asked["min_value"], asked["max_value"])
    )
    limits = (
        wording.limits(low, high, declared.find(asked["metric"]).form)
        if (low, high) != (None, None)
        else "within limits"
    )
    what = wording.subject(asked["metric"], asked["stage"], asked["slice_kind"], asked["slice"])
    severity = getattr(configuration.severity, "value", configuration.severity) or "critical"
    notes = configuration.notes if isinstance(configuration.notes, str) else ""
    words = {"what": what, "asked": limits + bound, "severity": str(severity), "notes": notes}
    return {key: wording.one_line(word) for key, word in words.items()}


def _seen(details: Mapping[str, Any]) -> str:
    """The outcome and the numbers that were seen, where they do not all hold only those; no word of it is from data."""
    rows = details.get("rows") or []
    numbers = [float(row["observed"]) for row in rows if row["observed"] is not None]
    span = "no number" if not numbers else f"{min(numbers):.6g}"
    span += f" to {max(numbers):.6g}" if len(set(numbers)) > 1 else ""
    status = details.get("status")
    known = status if status in ("pass", "fail", "inconclusive") else "error"
    return f"{known}{' (waived)' if details.get('waived') is True else ''}: {span}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the import from logging, from failing under `-W error`, and from capturing the warnings of the process."""
    logger = logging.getLogger("great_expectations")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.WARNING)
    shown_by = warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
        if warnings.showwarning is not shown_by:
            logging.captureWarnings(False)
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.NOTSET)  # it sets itself to INFO
