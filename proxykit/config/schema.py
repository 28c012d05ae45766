"""The configuration's JSON schema, the options of every plug-in included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .models import Configuration
from .registry import balancer_factories, filter_factories


def configuration_schema() -> dict[str, Any]:
    """Give the JSON schema (2020-12) of a configuration.

    A filter or balancer is one of those that are installed, with that one's options.
    """
    schema = Configuration.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Proxykit configuration"
    definitions = schema["$defs"]
    kinds = _kinds(definitions, "filter", filter_factories())
    definitions["FilterEntry"] = {"description": "A filter.", "anyOf": kinds}
    balancers = balancer_factories()
    kinds = _kinds(definitions, "balancer", balancers)
    # A balancer that needs no options may be written as its name.
    names = [
        name for name in sorted(balancers) if definitions[f"balancer.{name}"]["required"] == ["use"]
    ]
    definitions["BalancerEntry"] = {
        "description": "A balancer.",
        "anyOf": [{"enum": names}, *kinds],
    }
    return schema


def _kinds(
    definitions: dict[str, Any], kind: str, factories: Mapping[str, Any]
) -> list[dict[str, str]]:
    """Define what each of the plug-ins may be told, and give references to that."""
    for name, factory in sorted(factories.items()):
        options = factory.options.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
        for each, definition in options.pop("$defs", {}).items():
            definitions[f"{name}.{each}"] = definition
        options.setdefault("properties", {})["use"] = {"const": name}
        options["required"] = ["use", *options.get("required", [])]
        definitions[f"{kind}.{name}"] = options
    return [{"$ref": f"#/$defs/{kind}.{name}"} for name in sorted(factories)]
