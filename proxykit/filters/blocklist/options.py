"""The options of the ``blocklist`` filter."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ...options import Duration, OneOrMore, Options, Size

_URL = re.compile(r"https?://[!-~]+\Z")


def _checked_url(value: str) -> str:
    if not _URL.match(value):
        raise ValueError(f"expected an http or https URL, got {value!r}")
    return value


class ListEntry(Options):
    """A list, and where newer ones come from."""

    file: str = Field(min_length=1, description="The list; with url, where it is kept.")
    url: Annotated[str, AfterValidator(_checked_url)] | None = Field(
        default=None, description="Where newer ones come from."
    )
    refresh: Duration = Field(default=86_400.0, description="How often to ask for a newer one.")
    max_size: Size = Field(default=64 * 1024 * 1024, description="What is larger is not taken.")

    @model_validator(mode="after")
    def _refreshes_sensibly(self) -> ListEntry:
        if self.refresh < 1:
            raise ValueError('refresh is too often; such as "1d" is usual')
        return self


def _entry(value: Any) -> Any:
    if isinstance(value, str) and _URL.match(value):
        raise ValueError(f'a URL needs a file to keep its list in: {{ url = "{value}", file = … }}')
    return {"file": value} if isinstance(value, str) else value


class BlocklistOptions(Options):
    """Which lists, and what is answered."""

    lists: OneOrMore[Annotated[ListEntry, BeforeValidator(_entry)]] = Field(
        min_length=1, description="Files, or tables with file and url."
    )
    images: Literal["pixel", "page"] = Field(
        default="pixel",
        description="What a blocked image is answered with: an empty one, or the page.",
    )
    dry_run: bool = Field(default=False, description="Only log what would be blocked.")
