"""A release in the formats of other tools: Croissant, W3C PROV, OpenLineage, SPDX. Plain JSON, which their own tools read.

Sources: MLCommons Croissant 1.1 and its RAI vocabulary 1.0 (docs.mlcommons.org/croissant); PROV-JSON, W3C member submission of
24 April 2013; OpenLineage object model 2-0-2 (openlineage.io/spec); SPDX 3.0.1 dataset profile (spdx.github.io/spdx-spec). What
a release does not say is left out, or has the standard's own word for it (SPDX: `noAssertion`).
"""

import dataclasses
import re
import uuid
from collections.abc import Callable
from typing import Any

from expectations.papers.facts import PaperCounts, ReleasedPaper
from expectations.wording import plural

PRODUCER = "urn:lowbackground"
SPDX_CONTEXT = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
PROVENANCE = "https://openlineage.io/spec"


@dataclasses.dataclass(frozen=True)
class StandardInput:
    """What a paper of one release is made from.

    Attributes:
      release: the release.
      counts: of its documents.
      verdict: verdict.json.
      columns: of its shards, name and Arrow type.
      place: of the release's folder, from the folder of the paper.
      date: of the paper, YYYY-MM-DD. A release does not say when it was made.
    """

    release: ReleasedPaper
    counts: PaperCounts
    verdict: dict[str, Any]
    columns: tuple[tuple[str, str], ...]
    place: str
    date: str

    @property
    def about(self) -> str:
        """One sentence of what it is, one of its licences."""
        stated = [f"{key[0]} ({plural(n, 'document')})" for key, n, _ in self.counts.by("licence") if _is_known(key[0])]
        without = sum(n for key, n, _ in self.counts.by("licence") if not _is_known(key[0]))
        tokens = plural(self.counts.tokens, "token")
        counted = "by its tokenizer" if self.release.manifest.get("tokenizer") else "words and ideographs"
        size = f"{plural(self.counts.documents, 'document')} of text, {tokens} ({counted})."
        stated += [f"not known ({plural(without, 'document')})"] if without else []
        return f"{size} Licences: {', '.join(stated)}."

    @property
    def licences(self) -> list[str]:
        """SPDX expressions that hold for all of it, the most tokens first; none where a document's licence is not known."""
        found = [key[0] for key, _, _ in self.counts.by("licence")]
        return [str(one) for one in found] if all(map(_is_known, found)) else []

    @property
    def urn(self) -> str:
        """What names exactly this release."""
        return f"urn:sha256:{self.release.sha256}"


_CROISSANT_TYPES = {
    "int32": "sc:Integer",
    "int64": "sc:Integer",
    "float": "sc:Float",
    "double": "sc:Float",
    "bool": "sc:Boolean",
}
_CROISSANT_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant(given: StandardInput) -> dict[str, Any]:
    """MLCommons Croissant 1.1: the shards with their checksums, a record set for each, RAI and PROV properties."""
    release = given.release
    shards = [
        {
            "@type": "cr:FileObject",
            "@id": file["path"],
            "name": file["path"],
            "contentUrl": f"{given.place}/{file['path']}",
            "contentSize": f"{file['bytes']} B",
            "encodingFormat": "application/x-parquet",
            "sha256": file["sha256"],
        }
        for file in release.files("data/")
    ]
    # One record set for each shard: mlcroissant 1.1 cannot read a FileSet over file objects of Parquet, and a FileSet alone
    # has no checksums.
    records = [
        {
            "@type": "cr:RecordSet",
            "@id": f"documents-{number:05d}",
            "name": f"documents-{number:05d}",
            "field": [_croissant_field(f"documents-{number:05d}", shard["@id"], *column) for column in given.columns],
        }
        for number, shard in enumerate(shards)
    ]
    made: dict[str, Any] = {
        "@context": _CROISSANT_CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": release.name,
        "description": given.about,
        "identifier": given.urn,
        "version": "1.0.0",
        "prov:wasDerivedFrom": [f"{given.urn}/{source['name']}" for source in release.sources],
        "rai:dataPreprocessingProtocol": [f"{n} documents dropped: {why}" for why, n in _dropped(release)],
        "rai:dataAnnotationProtocol": "origin: as declared, shown by the text itself, or estimated by a detector (origin_basis)",
        "distribution": shards,
        "recordSet": records,
    }
    if given.licences:
        made["license"] = given.licences
    days = sorted(str(source["collected"]) for source in release.sources if source.get("collected"))
    if days:
        made["rai:dataCollectionTimeframe"] = sorted({days[0], days[-1]})
    if (said := _personal(release)) is not None:
        made["rai:personalSensitiveInformation"] = [said]
    return made


def _croissant_field(records: str, file: str, column: str, kind: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{records}/{column}",
        "name": column,
        "dataType": "sc:Date" if kind.startswith("timestamp") else _CROISSANT_TYPES.get(kind, "sc:Text"),
        "source": {"fileObject": {"@id": file}, "extract": {"column": column}},
    } | ({"isArray": True, "arrayShape": "-1"} if kind.startswith("list") else {})


def prov(given: StandardInput) -> dict[str, Any]:
    """W3C PROV-JSON: the release, the recipe and each source as entities, the run as an activity."""
    release = given.release
    name, run, recipe = f"lb:{token(release.name)}", "lb:run", "lb:recipe"
    sources = {f"lb:source-{token(str(source['name']))}": source for source in release.sources}
    inputs = {str(one.get("source")): one for one in release.manifest.get("inputs") or []}
    version = (release.manifest.get("versions") or {}).get("lowbackground")
    entities: dict[str, Any] = {
        name: {
            "prov:label": release.name,
            "prov:type": {"$": "prov:Collection", "type": "prov:QUALIFIED_NAME"},
            "lb:manifestSha256": release.sha256,
            "lb:documents": given.counts.documents,
            "lb:tokens": given.counts.tokens,
        },
        recipe: {"prov:label": "recipe.yaml"} | _known("lb:sha256", release.manifest.get("recipe_sha256")),
    }
    for key, source in sources.items():
        told = inputs.get(str(source["name"]), {})
        entities[key] = {"prov:label": str(source["name"])}
        entities[key] |= _known("lb:licence", source.get("licence")) | _known("lb:origin", source.get("origin"))
        entities[key] |= _known("lb:files", told.get("files")) | _known("lb:bytes", told.get("bytes"))
        print_ = (release.manifest.get("fingerprints") or {}).get(str(source["name"]))
        entities[key] |= _known("lb:fingerprint", print_)
    used = [recipe, *sources]
    return {
        "prefix": {"lb": f"{given.urn}/"},
        "entity": entities,
        "activity": {run: {"prov:label": f"lowbackground run of {release.name}"}},
        "agent": {
            "lb:lowbackground": {"prov:type": {"$": "prov:SoftwareAgent", "type": "prov:QUALIFIED_NAME"}}
            | _known("lb:version", version)
        },
        "used": {f"_:used{at}": {"prov:activity": run, "prov:entity": one} for at, one in enumerate(used)},
        "wasGeneratedBy": {"_:made": {"prov:entity": name, "prov:activity": run}},
        "wasAssociatedWith": {"_:by": {"prov:activity": run, "prov:agent": "lb:lowbackground", "prov:plan": recipe}},
        "wasDerivedFrom": {
            f"_:from{at}": {"prov:generatedEntity": name, "prov:usedEntity": one} for at, one in enumerate(sources)
        },
    }


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
        | {"facets": {"documentation": _facet("1-1-0/DocumentationDatasetFacet", description=_declared(source))}}
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


def spdx(given: StandardInput) -> dict[str, Any]:
    """An SPDX 3.0.1 document (JSON-LD) with the release as a dataset package, and its shards with their checksums."""
    release = given.release
    base, info = given.urn, "_:creation"
    package = {
        "type": "dataset_DatasetPackage",
        "spdxId": f"{base}/dataset",
        "creationInfo": info,
        "name": release.name,
        "description": given.about,
        "software_packageVersion": release.sha256,
        "software_primaryPurpose": "data",
        "dataset_datasetType": ["text"],
        "dataset_datasetSize": sum(file["bytes"] for file in release.files("data/")),
        "dataset_hasSensitivePersonalInformation": "noAssertion",  # an address is personal; whether it is sensitive is not known
        "dataset_dataPreprocessing": [f"{n} documents dropped: {why}" for why, n in _dropped(release)],
        "dataset_dataCollectionProcess": "; ".join(f"{s['name']}: {_declared(s)}" for s in release.sources),
        "verifiedUsing": [{"type": "Hash", "algorithm": "sha256", "hashValue": release.sha256}],
    }
    package |= _known("comment", _personal(release))
    files = [
        {
            "type": "software_File",
            "spdxId": f"{base}/{file['path']}",
            "creationInfo": info,
            "name": file["path"],
            "software_primaryPurpose": "data",
            "verifiedUsing": [{"type": "Hash", "algorithm": "sha256", "hashValue": file["sha256"]}],
        }
        for file in release.files("data/")
    ]
    graph: list[dict[str, Any]] = [
        {
            "type": "CreationInfo",
            "@id": info,
            "specVersion": "3.0.1",
            "created": f"{given.date}T00:00:00Z",
            "createdBy": [f"{base}/lowbackground"],
        },
        {"type": "SoftwareAgent", "spdxId": f"{base}/lowbackground", "creationInfo": info, "name": "lowbackground"},
        package,
        *files,
    ]
    if files:
        graph.append(_relationship(base, info, "contains", [file["spdxId"] for file in files]))
    if given.licences:
        joined = given.licences[0] if len(given.licences) == 1 else " AND ".join(f"({one})" for one in given.licences)
        licence = f"{base}/licence"
        graph.append(
            {
                "type": "simplelicensing_LicenseExpression",
                "spdxId": licence,
                "creationInfo": info,
                "simplelicensing_licenseExpression": joined,
            }
        )
        graph.append(_relationship(base, info, "hasDeclaredLicense", [licence]))
    else:
        graph.append(_relationship(base, info, "hasDeclaredLicense", ["expandedlicensing_NoAssertionLicense"]))
    roots = [package["spdxId"]]
    graph.append(
        {
            "type": "SpdxDocument",
            "spdxId": f"{base}/document",
            "creationInfo": info,
            "profileConformance": ["core", "software", "dataset", "simpleLicensing"],
            "rootElement": roots,
            "element": [one["spdxId"] for one in graph if "spdxId" in one],
        }
    )
    return {"@context": SPDX_CONTEXT, "@graph": graph}


STANDARDS: dict[str, Callable[[StandardInput], Any]] = {
    "croissant": croissant,
    "openlineage": openlineage,
    "prov": prov,
    "spdx": spdx,
}


def _relationship(base: str, info: str, kind: str, to: list[str]) -> dict[str, Any]:
    return {
        "type": "Relationship",
        "spdxId": f"{base}/{kind}",
        "creationInfo": info,
        "from": f"{base}/dataset",
        "relationshipType": kind,
        "to": to,
    }


def _event(given: StandardInput, job: str, inputs: list[Any], outputs: list[Any]) -> dict[str, Any]:
    run = uuid.uuid5(uuid.NAMESPACE_URL, f"{given.urn}/{job}")
    return {
        "eventType": "COMPLETE",
        "eventTime": f"{given.date}T00:00:00Z",
        "producer": PRODUCER,
        "schemaURL": f"{PROVENANCE}/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": str(run)},
        "job": {"namespace": "lowbackground", "name": f"{given.release.name}.{job}"},
        "inputs": inputs,
        "outputs": outputs,
    }


def _facet(schema: str, **values: Any) -> dict[str, Any]:
    name = schema.rpartition("/")[2]
    return {"_producer": PRODUCER, "_schemaURL": f"{PROVENANCE}/facets/{schema}.json#/$defs/{name}", **values}


def _dropped(release: ReleasedPaper) -> list[tuple[str, int]]:
    rows = release.rows("documents.dropped", "after", "reason")
    return sorted((reason, int(row["value"])) for reason, row in rows.items() if row["value"])


def _personal(release: ReleasedPaper) -> str | None:
    """What looks personal, in one line; None where it was not counted."""
    found = release.rows("personal.found", "after", "personal")
    told = [f"{int(row['value'])} {kind}" for kind, row in found.items() if row["value"]]
    gone = [f"{int(row['value'])} {kind}" for kind, row in release.rows("personal.masked", "after", "personal").items()]
    masked = f" Masked before: {', '.join(gone)}." if gone else ""
    return (
        f"Personal data found by pattern, names not looked for: {', '.join(told) or 'none'}.{masked}" if found else None
    )


def _declared(source: dict[str, Any]) -> str:
    """What the recipe declares of a source, in one line; what it does not is not known."""
    return ", ".join(
        f"{name} {source.get(name) or 'not known'}" for name in ("licence", "origin", "generator", "kind", "collected")
    )


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
    } | _known("actual", None if observed is None else str(observed))


def _is_known(licence: str | None) -> bool:
    return licence not in (None, "unknown")


def _known(key: str, value: Any) -> dict[str, Any]:
    return {} if value is None else {key: value}


def token(name: str) -> str:
    """A name as the local part of a qualified name, or as part of the name of a file."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", name)
