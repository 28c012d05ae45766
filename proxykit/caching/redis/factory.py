"""The plug-in of the store in Redis or Valkey."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator
from twisted.plugin import IPlugin
from zope.interface import implementer

from ...errors import ConfigurationError
from ...interfaces import ICacheStoreFactory
from ...net.tls import client_context
from ...options import BuildContext, Duration, Options, Size
from .address import RedisAddress, parse_address

_Url = Annotated[
    RedisAddress,
    BeforeValidator(parse_address, json_schema_input_type=str),
    WithJsonSchema({"type": "string"}),
]


class RedisOptions(Options):
    """The store in Redis or Valkey."""

    url: _Url = Field(description='"redis://...", "rediss://..." for TLS, or "unix:///path".')
    prefix: str = Field(
        default="proxykit",
        pattern=r"^[!-~]{1,64}$",
        description="Of every key; caches with the same one share what they store.",
    )
    size: Size | None = Field(
        default=None, description="Store nothing more while the server uses more memory."
    )
    timeout: Duration = Field(
        default=0.1, gt=0, description="What takes longer is as good as not stored."
    )
    ca: str | None = Field(default=None, description="A PEM file of authorities, for TLS.")

    @model_validator(mode="after")
    def _ca_is_for_tls(self) -> RedisOptions:
        if self.ca is not None and not self.url.tls:
            raise ValueError("ca is for rediss://")
        return self


@implementer(IPlugin, ICacheStoreFactory)
class RedisStoreFactory:
    """See ``ICacheStoreFactory``."""

    name = "redis"
    description = "keeps responses in Redis or Valkey, shared by machines"
    options = RedisOptions

    def build(self, options: RedisOptions, context: BuildContext) -> Any:
        """See ``ICacheStoreFactory``."""
        try:
            from .client import RedisClient
            from .store import RedisStore
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"store = \"redis\" needs the package {error.name}: pip install 'proxykit[redis]'"
            ) from error
        tls = None
        if options.url.tls:
            ca = context.directory / options.ca if options.ca is not None else None
            tls = client_context(options.url.host, ca)
        client = RedisClient(context.reactor, options.url, options.timeout, tls)
        return RedisStore(client, options.prefix.encode("ascii"), options.size)
