"""Header fields: order and repetition are kept, and nothing can split a message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxykit.message.fields import FieldSection, Headers, connection_options, lines_without


def test_order_case_and_repetition_are_kept():
    headers = Headers([(b"B", b"1"), (b"a", b"2"), (b"b", b"3")])

    assert list(headers) == [(b"B", b"1"), (b"a", b"2"), (b"b", b"3")]
    assert headers.get(b"b") == b"1, 3"
    assert headers.get_all(b"B") == [b"1", b"3"]


def test_set_takes_the_place_of_all_of_a_name():
    headers = Headers([(b"B", b"1"), (b"a", b"2"), (b"b", b"3")])

    headers.set(b"B", b"4")

    assert list(headers) == [(b"a", b"2"), (b"B", b"4")]


def test_changing_headers_leaves_the_section_they_came_from():
    section = FieldSection(((b"A", b"1"),))

    headers = Headers.of(section)
    headers.remove(b"a")

    assert b"a" not in headers
    assert section.get(b"a") == b"1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"A", b"1\r\nB: 2"),
        (b"A", b"1\n"),
        (b"A", b"\0"),
        (b"A", b" 1"),
        (b"A\r\nB", b"1"),
        (b"A:", b"1"),
        (b"", b"1"),
        (b"A b", b"1"),
    ],
)
def test_what_is_no_field_cannot_be_put_in(name, value):
    with pytest.raises(ValueError, match="field"):
        Headers([(name, value)])
    with pytest.raises(ValueError, match="field"):
        Headers().set(name, value)
    with pytest.raises(ValueError, match="field"):
        Headers().add(name, value)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_a_field_that_is_accepted_is_one_line(name, value):
    headers = Headers()
    try:
        headers.add(name, value)
    except ValueError:
        return
    line = b"%s: %s" % (name, value)
    assert not set(line) & set(b"\r\n\0")
    assert line.partition(b":")[0] == name


def test_connection_options_are_read_without_regard_to_case_and_space():
    assert connection_options(b"Close,\tX-Secret , ,te") == {b"close", b"x-secret", b"te"}
    assert connection_options(None) == frozenset()


def test_the_fields_of_a_section_are_lines():
    section = FieldSection(((b"A", b"1"), (b"b", b""), (b"a", b"x: y")))

    assert section.lines == b"A: 1\r\nb: \r\na: x: y\r\n"
    assert section.values == {b"a": b"1, x: y", b"b": b""}


NAMES = st.sampled_from([b"A", b"a", b"B", b"Ab", b"bA", b"c"])
VALUES = st.text(alphabet="aAbB: ", max_size=6).map(lambda text: text.strip().encode())


@given(
    st.lists(st.tuples(NAMES, VALUES), max_size=8).map(tuple),
    st.sets(st.sampled_from([b"a", b"b", b"ab", b"c", b"d"])),
)
def test_fields_are_cut_out_of_lines_and_the_rest_is_left(fields, names):
    kept = tuple(field for field in fields if field[0].lower() not in names)

    assert lines_without(FieldSection(fields).lines, names) == FieldSection(kept).lines


@pytest.mark.parametrize("name", [b"x-remote-user", b"X_Remote_User", b"x-remote_user"])
def test_a_field_that_is_put_in_is_the_only_one_that_a_gateway_takes_for_it(name):
    """RFC 3875 section 4.1.18: a hyphen and an underscore are one to what is built like CGI."""
    headers = Headers([(name, b"root"), (b"X-Remote-Users", b"1")])

    headers.set(b"X-Remote-User", b"ada")

    assert list(headers) == [(b"X-Remote-Users", b"1"), (b"X-Remote-User", b"ada")]
