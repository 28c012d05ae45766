"""The model of one filter in a configuration: its kind's name, and that kind's own options."""

from __future__ import annotations

from pydantic import Field

from .plugin_entry import PluginEntry


class FilterEntry(PluginEntry):
    """A filter, by the name of its kind; the other keys are that kind's options."""

    use: str = Field(description="The filter's name; `proxykit plugins` lists them.")
