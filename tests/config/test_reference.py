"""The documents know every key."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from proxykit.config.load import parse
from proxykit.config.models import Configuration
from proxykit.config.registry import filter_factories

DOCUMENTS = Path(__file__).parents[2] / "docs"


def keys_of(schema):
    """Give every key of a model and of the models inside it."""
    models = [schema, *schema.get("$defs", {}).values()]
    return sorted({key for model in models for key in model.get("properties", {})})


@pytest.mark.parametrize("key", keys_of(Configuration.model_json_schema()))
def test_every_key_is_in_the_reference(key):
    text = (DOCUMENTS / "configuration.md").read_text()

    assert f"`{key}`" in text or f".{key}]" in text or f"[{key}" in text


def built_in_filters():
    """Give the names of those filters that are not another test's."""
    factories = filter_factories()
    return sorted(
        name for name, each in factories.items() if type(each).__module__.startswith("proxykit.")
    )


@pytest.mark.parametrize("name", built_in_filters())
def test_every_filter_and_its_options_are_documented(name):
    assert f"`{name}`" in (DOCUMENTS / "filters.md").read_text()
    # Filters with much to say have a document of their own.
    text = "".join(document.read_text() for document in DOCUMENTS.glob("*.md"))
    options = filter_factories()[name].options.model_json_schema()
    missing = [key for key in keys_of(options) if key not in text]
    assert not missing


def test_what_squids_users_are_shown_is_a_configuration():
    text = (DOCUMENTS / "squid.md").read_text().partition("\nis\n")[2].partition("\n## ")[0]

    configuration = parse(textwrap.dedent(text), DOCUMENTS, "squid.md")

    assert len(configuration.forward["office"].cache.rules) == 2
