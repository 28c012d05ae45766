"""Directories as FTP servers write them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxykit.forward.ftp.listing import Entry, modification_time, read_list, read_mlsd
from proxykit.forward.ftp.listing_page import listing_page, reference

MLSD = b"""type=cdir;modify=20240101000000; /\r
type=pdir; ..\r
type=file;size=12;modify=20240102030405.123; a b.txt\r
Type=Dir;Modify=20240102030405; sub\r
type=OS.unix=slink:/x; link\r
size=5; unsaid\r
type=file;size=many; odd\r
type=file; ../up\r
type=file; sub/x\r
nonsense\r
type=file;x; =eq\r
"""

LS = b"""total 8\r
drwxr-xr-x   2 ftp  ftp      4096 Jan 02 03:04 sub\r
-rw-r--r--   1 ftp  ftp        12 Jan 02  2024 a b.txt\r
lrwxrwxrwx   1 ftp  ftp         3 Jan 02 03:04 link -> /etc/passwd\r
-rw-r--r--   1 ftp  ftp        12 Jan 02  2024 ..\r
01-02-24  03:04PM       <DIR>          Dos Sub\r
01-02-2024  03:04                   77 dos.txt\r
what is this?\r
"""


def test_mlsd_says_what_each_thing_is():
    assert list(read_mlsd(MLSD)) == [
        Entry("a b.txt", "file", 12, "2024-01-02 03:04"),
        Entry("sub", "directory", None, "2024-01-02 03:04"),
        Entry("link", "link"),
        Entry("unsaid", "other", 5),
        Entry("odd", "file"),
        Entry("=eq", "file"),
    ]


def test_list_is_read_as_unix_and_as_dos_write_it():
    assert list(read_list(LS)) == [
        Entry("sub", "directory", None, "Jan 02 03:04"),
        Entry("a b.txt", "file", 12, "Jan 02  2024"),
        Entry("link", "link", None, "Jan 02 03:04"),
        Entry("Dos Sub", "directory", None, "01-02-24  03:04PM"),
        Entry("dos.txt", "file", 77, "01-02-2024  03:04"),
        Entry("what is this?", "other"),
    ]


@given(st.binary(max_size=400))
@example(b".")
@example(b"size=\xb2; a")
def test_no_bytes_break_it_and_no_name_leads_out(data):
    for read in (read_mlsd, read_list):
        for entry in read(data):
            assert entry.name not in ("", ".", "..")
            if entry.kind != "other":
                assert "/" not in entry.name
    page = listing_page("ftp://a/", list(read_list(data)), b"text/html", is_root=True, is_cut=False)
    assert b"<script" not in page.body.lower()


@given(st.text(st.characters(max_codepoint=255), min_size=1, max_size=30))
def test_a_reference_is_of_characters_that_mean_nothing(name):
    text = reference(Entry(name, "file"))

    assert text.startswith("./")
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789%-._~/")
    assert text.count("/") == 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("20231114221320", 1_700_000_000), ("20231114221320.5", 1_700_000_000), ("2023", None),
     ("20231314221320", None), ("", None)],
)  # fmt: skip
def test_times_are_read_or_left_out(text, seconds):
    assert modification_time(text) == seconds
