"""The YAML header of a dataset card, which the Hugging Face Hub shows and `datasets` loads by.

Source: huggingface/hub-docs, datasetcard.md (keys and their words). Licences are SPDX's, in the hub's spelling; one that the hub
has no word for is `other`.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import yaml

SIZES = (  # documents below, and the hub's word
    (1e3, "n<1K"),
    (1e4, "1K<n<10K"),
    (1e5, "10K<n<100K"),
    (1e6, "100K<n<1M"),
    (1e7, "1M<n<10M"),
    (1e8, "10M<n<100M"),
    (1e9, "100M<n<1B"),
    (1e10, "1B<n<10B"),
    (1e11, "10B<n<100B"),
    (1e12, "100B<n<1T"),
)
_SPDX = (  # that the hub spells in lower case
    *(
        "Apache-2.0",
        "MIT",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC0-1.0",
        "WTFPL",
        "MS-PL",
        "ISC",
        "Zlib",
        "EUPL-1.1",
        "EUPL-1.2",
    ),
    *(f"CC-BY-{version}" for version in ("2.0", "2.5", "3.0", "4.0")),
    *(f"CC-BY-SA-{version}" for version in ("3.0", "4.0")),
    *(f"CC-BY-NC-{version}" for version in ("2.0", "3.0", "4.0")),
    *(f"CC-BY-NC-SA-{version}" for version in ("2.0", "3.0", "4.0")),
    *("CC-BY-ND-4.0", "CC-BY-NC-ND-3.0", "CC-BY-NC-ND-4.0", "MPL-2.0", "EPL-1.0", "EPL-2.0", "Artistic-2.0", "OSL-3.0"),
)
LICENCES = {name: name.lower() for name in _SPDX} | {
    "ODC-By-1.0": "odc-by",
    "ODbL-1.0": "odbl",
    "PDDL-1.0": "pddl",
    "Unlicense": "unlicense",
    **{
        f"{family}-{version}-{which}": f"{family.lower()}-{version}"
        for family, version in (("GPL", "2.0"), ("GPL", "3.0"), ("LGPL", "2.1"), ("LGPL", "3.0"), ("AGPL", "3.0"))
        for which in ("only", "or-later")
    },
}
_TYPES = {"float": "float32", "double": "float64"}  # Arrow's word -> the hub's, where they differ


def hub_header(release: str, rows: Sequence[dict[str, Any]], schema: pa.Schema | None, n_bytes: int) -> str:
    """The header, between its two lines of dashes.

    Args:
      release: its name.
      rows: of its metrics.
      schema: of its shards; None: there are none.
      n_bytes: of all shards.
    """
    after = {(row["metric"], row["slice_kind"], row["slice"]): row["value"] for row in rows if row["stage"] == "after"}
    documents = int(after["documents", "overall", ""] or 0)
    by = {
        kind: sorted(
            slice_ for metric, of, slice_ in after if metric == metric_ and of == kind and after[metric, of, slice_]
        )
        for kind, metric_ in (("language", "documents"), ("licence", "tokens"))
    }
    languages = [tag for tag in by["language"] if tag not in ("unknown", "")]
    licences = [LICENCES.get(name, "unknown" if name == "unknown" else "other") for name in by["licence"]]
    header: dict[str, Any] = {
        "pretty_name": release,
        "license": sorted(set(licences)) or ["unknown"],
        "language": sorted({tag.partition("-")[0] for tag in languages}),
        "size_categories": [next((word for most, word in SIZES if documents < most), "n>1T")],
        "task_categories": ["text-generation"],
        "annotations_creators": ["machine-generated"],
        "tags": ["lowbackground", *(["synthetic"] if after.get(("documents", "origin", "synthetic")) else [])],
    }
    if schema is not None:
        header["configs"] = [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*"}]}]
        header["dataset_info"] = {
            "features": [_feature(field) for field in schema],
            # Both sizes are those of the files: what they take in memory nobody has counted, and without it splits are no splits.
            "splits": [{"name": "train", "num_bytes": n_bytes, "num_examples": documents}],
            "download_size": n_bytes,
            "dataset_size": n_bytes,
        }
    written = {key: value for key, value in header.items() if value}
    return f"---\n{yaml.safe_dump(written, sort_keys=False)}---"


def _feature(field: pa.Field) -> dict[str, Any]:
    if pa.types.is_list(field.type):
        return {"name": field.name, "list": _dtype(field.type.value_type)}
    return {"name": field.name, "dtype": _dtype(field.type)}


def _dtype(kind: pa.DataType) -> str:
    return _TYPES.get(str(kind), str(kind))
