"""Which content coding a client prefers, and encoders whose output any decoder reads."""

from __future__ import annotations

import gzip
import zlib

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxykit.message.codings import LEVELS, encoder_maker, is_available, preferred_coding

try:
    from compression import zstd
except ImportError:
    from backports import zstd

OFFERED = ("zstd", "br", "gzip")


@pytest.mark.parametrize(
    ("accept", "coding", "refuses_identity"),
    [
        (None, None, False),
        (b"", None, False),
        (b"gzip", "gzip", False),
        (b"GZip", "gzip", False),
        (b"x-gzip", "gzip", False),
        (b"gzip, deflate, br, zstd", "zstd", False),
        (b"gzip, br;q=0.9", "gzip", False),
        (b"gzip;q=0.8,br;q=0.9", "br", False),
        (b"gzip;q=0", None, False),
        (b"gzip; q=0.0, br", "br", False),
        (b"deflate", None, False),
        (b"*", "zstd", False),
        (b"*;q=0.5, gzip", "gzip", False),
        (b"zstd;q=0, *", "br", False),
        (b"*;q=0", None, True),
        (b"*;q=0, gzip", "gzip", True),
        (b"identity;q=0, gzip", "gzip", True),
        (b"identity;q=0", None, True),
        (b"identity;q=0, *", "zstd", True),
        (b"identity, *;q=0", None, False),
        (b"identity;q=1, gzip;q=0.5", None, False),
        (b"identity;q=0.5, gzip;q=0.5", "gzip", False),
        (b"identity", None, False),
        (b"gzip;q=2", None, False),
        (b"gzip;q=nan", None, False),
        (b"gzip;q=much", None, False),
        (b",,;q=1, gzip ;x=1", "gzip", False),
        (b"x," * 40 + b"gzip", None, False),
    ],
)
def test_preferences(accept, coding, refuses_identity):
    preference = preferred_coding(accept, OFFERED)

    assert (preference.coding, preference.refuses_identity) == (coding, refuses_identity)


def test_the_order_of_what_is_offered_decides_among_equals():
    assert preferred_coding(b"zstd, gzip, br", ("gzip", "br")).coding == "gzip"


@given(st.binary(max_size=300))
def test_nothing_that_a_client_sends_raises(accept):
    assert preferred_coding(accept, OFFERED).coding in (None, *OFFERED)


DECODE = {"gzip": gzip.decompress, "br": brotli.decompress, "zstd": zstd.decompress}
DECODER = {
    "gzip": lambda: zlib.decompressobj(31).decompress,
    "br": lambda: brotli.Decompressor().process,
    "zstd": lambda: zstd.ZstdDecompressor().decompress,
}


@pytest.mark.parametrize("coding", OFFERED)
@given(pieces=st.lists(st.binary(max_size=2000), max_size=8), known=st.booleans(), data=st.data())
@settings(max_examples=40)
def test_what_is_encoded_is_decoded(coding, pieces, known, data):
    level = data.draw(st.sampled_from(list(LEVELS[coding])))
    whole = b"".join(pieces)
    encoder = encoder_maker(coding, level)(len(whole) if known else None)

    encoded = b"".join(map(encoder.encode, pieces)) + encoder.finish()

    assert DECODE[coding](encoded) == whole


@pytest.mark.parametrize("coding", OFFERED)
def test_a_flush_gives_a_decoder_all_that_was_taken(coding):
    encoder = encoder_maker(coding, LEVELS[coding][2])(None)
    decode = DECODER[coding]()

    for piece in (b"first", b"second" * 1000, b"third"):
        assert decode(encoder.encode(piece) + encoder.flush()) == piece


def test_a_library_that_is_not_installed_is_noticed(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "brotli", None)

    assert not is_available("br")
    assert is_available("gzip")
