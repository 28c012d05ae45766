"""The model of one filter in a configuration: its kind's name, and that kind's own options."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field, PrivateAttr

from ..options import Options


class FilterEntry(Options):
    """A filter, by the name of its kind; the other keys are that kind's options."""

    model_config = ConfigDict(extra="allow", frozen=True)

    use: str = Field(description="The filter's name; `proxykit plugins` lists them.")
    _factory: Any = PrivateAttr(default=None)
    _options: Any = PrivateAttr(default=None)

    def resolve(self, factory: Any, options: Any) -> None:
        """Take what the registry found for this entry."""
        self._factory = factory
        self._options = options

    @property
    def factory(self) -> Any:
        """The ``IFilterFactory``."""
        return self._factory

    @property
    def options(self) -> Any:
        """The checked options, an instance of the factory's model."""
        return self._options
