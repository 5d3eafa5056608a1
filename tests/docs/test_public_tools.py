"""A release of a real corpus with all its papers, signed, and verified in a clean environment that has nothing of ours."""

import json
import pathlib
import pydoc_data.topics
import re
import subprocess

import pytest
import warm
from clean_environment import environment_of

SCRIPT = pathlib.Path(__file__).parents[2] / "examples" / "public_tools" / "check.py"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """An environment with what the script says to install."""
    named = re.search(r"pip install (.+)", SCRIPT.read_text())
    assert named is not None
    return environment_of(tmp_path_factory.mktemp("public"), named[1].split()) / "python"


@pytest.mark.slow
def test_public_tools_alone_verify_a_release_and_find_a_changed_byte(
    python: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    texts = [text[:1500] for _, text in sorted(pydoc_data.topics.topics.items())]
    lines = [json.dumps({"id": f"d{n}", "text": text}) for n, text in enumerate([*texts, texts[0]])]
    (tmp_path / "topics.jsonl").write_text("\n".join(lines))
    recipe = {
        "release": "v2",
        "sources": [{"name": "topics", "path": "topics.jsonl", "origin": "human", "licence": "PSF-2.0"}],
        "expectations": {"expectations": [{"expect": "size_to_be_at_least", "min": 1}]},
        "output": {"path": "releases"},
        "papers": ["eu-summary", "ab-2013", "croissant", "openlineage", "prov", "spdx"],
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    for words in (["openssl", "genpkey", "-algorithm", "ed25519", "-out", "key.pem"],
                  ["openssl", "pkey", "-in", "key.pem", "-pubout", "-out", "key.pub"],
                  [*warm.python(), "-m", "pipeline.cli", "run", "recipe.yaml"],
                  [*warm.python(), "-m", "pipeline.cli", "sign", "releases/v2", "--key", "key.pem"]):  # fmt: skip
        subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    check = [python, "-I", SCRIPT, "releases/v2", "releases/v2.papers", "--key", "key.pub"]
    done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    tools = ["sha256", "duckdb", "datasets", "mlcroissant", "prov", "spdx", "openlineage", "in-toto"]
    assert [line.split()[0] for line in done.stdout.splitlines()] == tools
    metrics = tmp_path / "releases" / "v2" / "metrics.parquet"
    metrics.write_bytes(metrics.read_bytes()[:-9] + b"x" + metrics.read_bytes()[-8:])
    done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("AssertionError: metrics.parquet")
