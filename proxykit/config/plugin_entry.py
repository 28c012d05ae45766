"""What the models of entries share that name a plug-in and hold its own options."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, PrivateAttr

from ..options import Options


class PluginEntry(Options):
    """An entry whose other keys are the options of the plug-in that it names."""

    model_config = ConfigDict(extra="allow", frozen=True)

    _factory: Any = PrivateAttr(default=None)
    _options: Any = PrivateAttr(default=None)

    def resolve(self, factory: Any, options: Any) -> None:
        """Take what the registry found for this entry."""
        self._factory = factory
        self._options = options

    @property
    def factory(self) -> Any:
        """The plug-in's factory, ``IFilterFactory`` for instance."""
        return self._factory

    @property
    def options(self) -> Any:
        """The checked options, an instance of the factory's model."""
        return self._options
