"""The table that is looked up in place: it finds what is in it, all of it, and nothing else."""

from __future__ import annotations

import io
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxykit.lists.table import Table, TableError, write_table


def table(records, report=None):
    file = io.BytesIO()
    write_table(records, report or {}, file)
    return Table(file.getvalue())


TEXT = st.binary(max_size=12).map(lambda data: data.replace(b"\n", b"x").replace(b"\0", b"y"))


@settings(max_examples=60)
@given(st.lists(st.tuples(TEXT, TEXT), max_size=40), st.lists(TEXT, max_size=10))
def test_it_finds_every_value_of_a_key_and_nothing_else(records, others):
    found = table(records)
    expected = {}
    for key, value in records:
        expected.setdefault(key, []).append(value)

    for key in [*expected, *others]:
        assert list(found.find(key)) == expected.get(key, [])
        assert (key in found) is (key in expected)


def test_an_empty_table_has_nothing_and_keeps_its_report():
    empty = table([], {"names": 0})

    assert empty.find(b"a") == ()
    assert empty.report == {"names": 0}


def test_a_mapped_file_is_a_table_and_outlives_its_name():
    with tempfile.TemporaryFile() as file:
        write_table([(b"a.example", b"d1")], {}, file)
        mapped = Table.mapped(file)

    assert mapped.find(b"a.example") == (b"d1",)


@pytest.mark.parametrize("data", [b"", b"nonsense", b"pxtable1" + bytes(32), b"pxtable1" * 9])
def test_what_is_no_table_is_refused(data):
    with pytest.raises(TableError):
        Table(data)


@pytest.mark.parametrize("record", [(b"a\nb", b""), (b"a", b"\n"), (b"a\0", b""), (b"a", b"\0")])
def test_a_record_that_would_split_another_is_refused(record):
    with pytest.raises(TableError):
        table([record])
