"""A release in W3C PROV-JSON (member submission of 24 April 2013)."""

from typing import Any

from expectations.papers.facts import StandardInput, if_known, token


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
        recipe: {"prov:label": "recipe.yaml"} | if_known("lb:sha256", release.manifest.get("recipe_sha256")),
    }
    for key, source in sources.items():
        told = inputs.get(str(source["name"]), {})
        entities[key] = {"prov:label": str(source["name"])}
        entities[key] |= if_known("lb:licence", source.get("licence")) | if_known("lb:origin", source.get("origin"))
        entities[key] |= if_known("lb:files", told.get("files")) | if_known("lb:bytes", told.get("bytes"))
        print_ = (release.manifest.get("fingerprints") or {}).get(str(source["name"]))
        entities[key] |= if_known("lb:fingerprint", print_)
    used = [recipe, *sources]
    return {
        "prefix": {"lb": f"{given.urn}/"},
        "entity": entities,
        "activity": {run: {"prov:label": f"lowbackground run of {release.name}"}},
        "agent": {
            "lb:lowbackground": {"prov:type": {"$": "prov:SoftwareAgent", "type": "prov:QUALIFIED_NAME"}}
            | if_known("lb:version", version)
        },
        "used": {f"_:used{at}": {"prov:activity": run, "prov:entity": one} for at, one in enumerate(used)},
        "wasGeneratedBy": {"_:made": {"prov:entity": name, "prov:activity": run}},
        "wasAssociatedWith": {"_:by": {"prov:activity": run, "prov:agent": "lb:lowbackground", "prov:plan": recipe}},
        "wasDerivedFrom": {
            f"_:from{at}": {"prov:generatedEntity": name, "prov:usedEntity": one} for at, one in enumerate(sources)
        },
    }
