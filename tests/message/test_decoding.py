"""Content codings are taken off, and never further than allowed."""

from __future__ import annotations

import gzip
import zlib

import brotli
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from proxykit.message.decoding import DecodingError, TooLarge, decoded, known_coding, understood

ENCODERS = {"": bytes, "gzip": gzip.compress, "br": brotli.compress, "zstd": zstd.compress}
CODINGS = sorted(ENCODERS)


@pytest.mark.parametrize("coding", CODINGS)
@given(data=st.binary(max_size=4000))
@settings(max_examples=25)
def test_what_was_encoded_comes_out(coding, data):
    assert decoded(ENCODERS[coding](data), coding, 4000) == data


@pytest.mark.parametrize("coding", CODINGS)
def test_content_of_just_the_size_is_not_too_large(coding):
    data = b"0123456789" * 100

    assert decoded(ENCODERS[coding](data), coding, 1000) == data
    with pytest.raises(TooLarge):
        decoded(ENCODERS[coding](data), coding, 999)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_bomb_is_not_decoded_further_than_allowed(coding):
    import tracemalloc

    bomb = ENCODERS[coding](bytes(20_000_000))
    assert len(bomb) < 200_000
    tracemalloc.start()
    with pytest.raises(TooLarge):
        decoded(bomb, coding, 1_000_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12_000_000


def test_a_window_larger_than_browsers_allow_is_refused():
    parameter = zstd.CompressionParameter
    options = {parameter.window_log: 27, parameter.content_size_flag: 0}
    compressor = zstd.ZstdCompressor(options=options)
    large = compressor.compress(b"x" * 10) + compressor.flush()

    with pytest.raises(DecodingError):
        decoded(large, "zstd", 1000)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
@given(data=st.binary(max_size=200))
@settings(max_examples=50)
def test_nonsense_is_an_error_and_nothing_worse(coding, data):
    try:
        decoded(data, coding, 10_000)
    except (DecodingError, TooLarge):
        pass


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_content_that_ends_too_early_is_an_error(coding):
    whole = ENCODERS[coding](b"some text, and more text" * 50)

    for end in range(1, len(whole)):
        with pytest.raises(DecodingError):
            decoded(whole[:end], coding, 10_000)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_members_that_follow_each_other_are_one_content(coding):
    encode = ENCODERS[coding]

    assert decoded(encode(b"one ") + encode(b"two"), coding, 100) == b"one two"


def test_garbage_behind_a_member_is_an_error():
    with pytest.raises(DecodingError):
        decoded(gzip.compress(b"one", mtime=0) + b"\x1f\x00garbage", "gzip", 100)


@pytest.mark.parametrize(
    ("field", "coding"),
    [
        (None, ""),
        (b"identity", ""),
        (b"GZip", "gzip"),
        (b"x-gzip", "gzip"),
        (b" br ", "br"),
        (b"zstd", "zstd"),
        (b"deflate", None),
        (b"dcb", None),
        (b"gzip, br", None),
    ],
)
def test_codings_that_are_known(field, coding):
    assert known_coding(field) == coding


@pytest.mark.parametrize(
    ("asked", "passed"),
    [
        (b"gzip, deflate, br, zstd, dcb, dcz", b"gzip, br, zstd"),
        (b"gzip;q=0.5,*;q=0.1", b"gzip;q=0.5"),
        (b"deflate", b"identity"),
        (b"*", b"identity"),
        (b"", b"identity"),
        (b"GZIP, identity;q=0", b"GZIP, identity;q=0"),
    ],
)
def test_servers_are_asked_for_nothing_that_could_not_be_decoded(asked, passed):
    assert understood(asked) == passed


def test_zlib_is_what_gzip_stands_on():
    """What other programs write with another level or no name decodes too."""
    compressor = zlib.compressobj(1, zlib.DEFLATED, 31)

    assert decoded(compressor.compress(b"abc") + compressor.flush(), "gzip", 3) == b"abc"
