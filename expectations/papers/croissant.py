"""A release in MLCommons Croissant 1.1 with its RAI vocabulary 1.0 (docs.mlcommons.org/croissant)."""

from typing import Any

from expectations.papers.facts import StandardInput, dropped, personal

_TYPES = {
    "int32": "sc:Integer",
    "int64": "sc:Integer",
    "float": "sc:Float",
    "double": "sc:Float",
    "bool": "sc:Boolean",
}
_CONTEXT: dict[str, Any] = {
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
            "field": [_field(f"documents-{number:05d}", shard["@id"], *column) for column in given.columns],
        }
        for number, shard in enumerate(shards)
    ]
    made: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": release.name,
        "description": given.about,
        "identifier": given.urn,
        "version": "1.0.0",
        "prov:wasDerivedFrom": [f"{given.urn}/{source['name']}" for source in release.sources],
        "rai:dataPreprocessingProtocol": [f"{n} documents dropped: {why}" for why, n in dropped(release)],
        "rai:dataAnnotationProtocol": "origin: as declared, shown by the text itself, or estimated by a detector (origin_basis)",
        "distribution": shards,
        "recordSet": records,
    }
    if given.licences:
        made["license"] = given.licences
    days = sorted(str(source["collected"]) for source in release.sources if source.get("collected"))
    if days:
        made["rai:dataCollectionTimeframe"] = sorted({days[0], days[-1]})
    if (said := personal(release)) is not None:
        made["rai:personalSensitiveInformation"] = [said]
    return made


def _field(records: str, file: str, column: str, kind: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{records}/{column}",
        "name": column,
        "dataType": "sc:Date" if kind.startswith("timestamp") else _TYPES.get(kind, "sc:Text"),
        "source": {"fileObject": {"@id": file}, "extract": {"column": column}},
    } | ({"isArray": True, "arrayShape": "-1"} if kind.startswith("list") else {})
