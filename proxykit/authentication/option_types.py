"""The types that the options of authentication have, as operators write them."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from ..message.fields import HOP_BY_HOP, checked_field
from .http_client import checked_service_url

# The engine frames messages and says where they came from; credentials are not told as a name is.
_NOT_TO_BE_SET = HOP_BY_HOP | {b"authorization", b"content-length", b"host", b"via"}


def _checked_name(name: str) -> str:
    field, _ = checked_field(name.encode("utf-8"), b"")
    if field.lower() in _NOT_TO_BE_SET:
        raise ValueError(f"{name} is written by the proxy itself and cannot be used here")
    return name


def _checked_realm(text: str) -> str:
    if not text.isascii() or not text.isprintable():
        raise ValueError("a realm is printable ASCII: clients disagree about anything else")
    return text


FieldName = Annotated[str, AfterValidator(_checked_name)]
Realm = Annotated[str, AfterValidator(_checked_realm)]
ServiceUrl = Annotated[str, AfterValidator(checked_service_url)]
