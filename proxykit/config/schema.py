"""The configuration's JSON schema, the options of every filter included."""

from __future__ import annotations

from typing import Any

from .models import Configuration
from .registry import filter_factories


def configuration_schema() -> dict[str, Any]:
    """Give the JSON schema (2020-12) of a configuration.

    A filter is one of those that are installed, with that one's options.
    """
    schema = Configuration.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Proxykit configuration"
    definitions = schema["$defs"]
    kinds = []
    for name, factory in sorted(filter_factories().items()):
        options = factory.options.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
        for each, definition in options.pop("$defs", {}).items():
            definitions[f"{name}.{each}"] = definition
        options.setdefault("properties", {})["use"] = {"const": name}
        options["required"] = ["use", *options.get("required", [])]
        definitions[f"filter.{name}"] = options
        kinds.append({"$ref": f"#/$defs/filter.{name}"})
    definitions["FilterEntry"] = {"description": "A filter.", "anyOf": kinds}
    return schema
