"""JSON Schemas of the files that people write. An editor completes and checks by them; loading is stricter still."""

import json
from typing import Any

from expectations.structures.systems_file import systems_schema
from expectations.suite.suite import suite_schema
from pipeline.reading.answer import chosen
from pipeline.recipe import Recipe

SCHEMAS = {"suite": suite_schema, "recipe": Recipe.model_json_schema, "structures": systems_schema}
DRAFT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(what: str) -> str:
    """The schema as JSON.

    Raises:
      RecipeError: there is no such file.
    """
    schema: dict[str, Any] = chosen(what, SCHEMAS, "schema")()
    return json.dumps({"$schema": DRAFT, **schema}, indent=2, ensure_ascii=False) + "\n"
