"""Every configuration that a document shows is one."""

from __future__ import annotations

import re
import textwrap
import tomllib
from pathlib import Path

import pytest

from proxykit.config.load import from_mapping
from proxykit.config.models import Configuration

ROOT = Path(__file__).parents[2]

# A part of a table is shown without the table's header, but for its first key.
TABLES = {
    "service": "[[forward.office.filters]]\nuse = 'auth'\n",
    "negotiate": "[[forward.office.filters]]\nuse = 'auth'\n",
    "brute_force": "[[forward.office.filters]]\nuse = 'auth'\nusers = 'htpasswd'\n",
    "headers": "[[reverse.site.routes]]\npool = 'app'\n",
    "split": "[[reverse.site.routes]]\n",
    "path": "[[reverse.site.routes]]\n",
    "rewrite": "[[reverse.site.routes]]\npool = 'app'\n",
    "outgoing": "[forward.office]\n",
    "socks": "[forward.office]\n",
    "source": "[pool.app]\n",
}
# What looks like one and is none: code, and a file of a pool's servers.
OTHERS = {"# shout_filter/__init__.py", "# servers.toml"}


def blocks():
    """Give each indented block that may be a configuration, with its place."""
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = document.read_text()
        for found in re.finditer(r"(?<=\n\n)(?:    .*\n|\n(?=    ))+", text):
            block = textwrap.dedent(found[0]).strip()
            if not re.search(r"^(\[{1,2}[a-z][\w.]*\]{1,2}|[a-z_]+ = )", block, re.MULTILINE):
                continue
            if block.splitlines()[0].split("   ")[0] in OTHERS:
                continue
            line = text.count("\n", 0, found.start()) + 1
            # Alternatives stand below each other.
            several = len(re.findall(r"^source = ", block, re.MULTILINE)) > 1
            for number, each in enumerate(block.splitlines() if several else [block]):
                yield pytest.param(each, id=f"{document.name}:{line + number}")


def completed(block):
    """Read a block and put in what it takes for granted."""
    table = TABLES.get(block.partition(" ")[0], "")
    data = tomllib.loads(table + block)
    assert set(data) <= set(Configuration.model_fields)
    pools, caches = {"app"}, set()
    for reverse in data.get("reverse", {}).values():
        reverse.setdefault("listen", "127.0.0.1:8080")
        routes = reverse.setdefault("routes", [])
        if isinstance(routes, dict):  # [reverse.site.routes.cache] goes on with a route
            routes = reverse["routes"] = [{"pool": "app"} | routes]
        for each in routes:
            pools |= {each.get("pool", "app"), *each.get("split", {}).get("pools", ())}
        pools |= {each["pool"] for each in reverse.get("filters", ()) if "pool" in each}
        caches |= {cache_of(each) for each in routes}
    for forward in data.get("forward", {}).values():
        if "intercept" not in forward:
            forward.setdefault("listen", "127.0.0.1:3128")
        caches.add(cache_of(forward))
    if "reverse" not in data and "forward" not in data:
        data["forward"] = {"office": {"listen": "127.0.0.1:3128"}}
    for name in pools:
        data.setdefault("pool", {}).setdefault(name, {"servers": ["http://127.0.0.1:9001"]})
    for name in caches - {None}:
        data.setdefault("cache", {}).setdefault(name, {})
    return data


def cache_of(where):
    cache = where.get("cache")
    return cache.get("use") if isinstance(cache, dict) else cache


@pytest.mark.parametrize("block", list(blocks()))
def test_what_is_shown_is_a_configuration(block):
    from_mapping(completed(block), ROOT)


def test_there_is_something_to_look_at():
    assert len(list(blocks())) > 40
