"""A release in OpenLineage, object model 2-0-2 (openlineage.io/spec)."""

import uuid
from typing import Any

from expectations.papers.facts import PRODUCER, StandardInput, declared, if_known

SPECIFICATION = "https://openlineage.io/spec"


def openlineage(given: StandardInput) -> list[dict[str, Any]]:
    """Two OpenLineage run events: the run that made the release from its sources, and the gate with its expectations.

    A release does not say when it was made, so `eventTime` is the date of the paper.
    """
    release = given.release
    fields = [{"name": name, "type": kind} for name, kind in given.columns]
    size = sum(file["bytes"] for file in release.files("data/"))
    dataset = {"namespace": "lowbackground", "name": release.name}
    made = {
        **dataset,
        "facets": {
            "schema": _facet("1-1-1/SchemaDatasetFacet", fields=fields),
            "version": _facet("1-0-1/DatasetVersionDatasetFacet", datasetVersion=release.sha256),
        },
        "outputFacets": {
            "outputStatistics": _facet(
                "1-0-2/OutputStatisticsOutputDatasetFacet",
                rowCount=sum(file["rows"] for file in release.files("data/")),
                size=size,
                fileCount=len(release.files("data/")),
            )
        },
    }
    sources = [
        {"namespace": "lowbackground.sources", "name": str(source["name"])}
        | {"facets": {"documentation": _facet("1-1-0/DocumentationDatasetFacet", description=declared(source))}}
        for source in release.sources
    ]
    assertions = [_assertion(one) for one in given.verdict.get("expectations") or []]
    judged = {
        **dataset,
        "inputFacets": {
            "dataQualityAssertions": _facet("1-1-0/DataQualityAssertionsDatasetFacet", assertions=assertions)
        },
    }
    return [
        _event(given, "run", sources, [made]),
        _event(given, "gate", [judged], []),
    ]


def _event(given: StandardInput, job: str, inputs: list[Any], outputs: list[Any]) -> dict[str, Any]:
    run = uuid.uuid5(uuid.NAMESPACE_URL, f"{given.urn}/{job}")
    return {
        "eventType": "COMPLETE",
        "eventTime": f"{given.date}T00:00:00Z",
        "producer": PRODUCER,
        "schemaURL": f"{SPECIFICATION}/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": str(run)},
        "job": {"namespace": "lowbackground", "name": f"{given.release.name}.{job}"},
        "inputs": inputs,
        "outputs": outputs,
    }


def _facet(schema: str, **values: Any) -> dict[str, Any]:
    name = schema.rpartition("/")[2]
    return {"_producer": PRODUCER, "_schemaURL": f"{SPECIFICATION}/facets/{schema}.json#/$defs/{name}", **values}


def _assertion(one: dict[str, Any]) -> dict[str, Any]:
    """An expectation of the verdict; it succeeds only if it holds, and not where it is waived or could not be judged."""
    observed = (one.get("worst") or {}).get("observed")
    return {
        "assertion": "metric_to_be_between",
        "success": one["status"] == "pass",
        "severity": "error" if one.get("severity") == "critical" else "warn",
        "name": f"{one['metric']} ({one['stage']}, {one['slice_kind']})",
        "description": one["message"],
        "expected": one["threshold"],
    } | if_known("actual", None if observed is None else str(observed))
