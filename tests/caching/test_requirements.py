"""Every MUST, MUST NOT, SHOULD and SHOULD NOT of HTTP caching, and the tests that hold it.

``required_9111`` has those of RFC 9111, ``required_elsewhere`` those of RFC 5861, 8246, 9110, 9211 and
9213. They were made against the texts, sentence by sentence through the sections that those modules
name (of RFC 9110, sections 13, 14, 15.3.7 and 15.4.5 as they were published, the others in the last
draft before).

Each row of ``HELD`` is a requirement in our words, with the name of a test that fails where it is not
met; modules are named from ``tests/``. Of what is only allowed ("MAY"), what is done here and has a
limit is listed; "text" is what a section says without one of these words. ``ELSEWHERE`` has the
requirements that cannot apply here or, in a few cases, are not met to the letter, each with the
reason. ``IN_THE_TEXT`` says how often each word stands in each section, so that a reader can count
that none is missing, as the tests below do.
"""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.caching import required_9111, required_elsewhere

TESTS = Path(__file__).parents[1]
COUNTED = {"MUST", "MUST NOT", "SHOULD", "SHOULD NOT"}
HELD = {"RFC 9111": required_9111.HELD, **required_elsewhere.HELD}
ELSEWHERE = {"RFC 9111": required_9111.ELSEWHERE, **required_elsewhere.ELSEWHERE}
IN_THE_TEXT = {"RFC 9111": required_9111.IN_THE_TEXT, **required_elsewhere.IN_THE_TEXT}

# Sections of which only what binds a cache is listed: their words are not counted.
IN_PART = {
    "RFC 9110": {
        "6.5.1",
        "6.6.1",
        "7.6.3",
        "8.8.2.2",
        "8.8.3.2",
        "9.2.3",
        "9.3.1",
        "9.3.2",
        "9.3.3",
    }
    | {"12.5.5", "15.1"}
}


@cache
def names_in(module):
    tree = ast.parse((TESTS / module).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(
    ("level", "module", "name"),
    [(level, module, name) for rows in HELD.values() for _, level, _, module, name in rows],
    ids=[
        f"{document} {section} {level} {what}"
        for document, rows in HELD.items()
        for section, level, what, _, _ in rows
    ],
)
def test_a_requirement_is_held_by_a_test_that_exists(level, module, name):
    assert level in COUNTED | {"MAY", "text"}
    assert name.startswith("test_")
    assert name in names_in(module)


@pytest.mark.parametrize("document", sorted(IN_THE_TEXT))
def test_every_requirement_of_the_text_is_held_or_stands_elsewhere(document):
    listed = Counter((section, level) for section, level, *_ in HELD[document])
    for section, level, count, what, reason in ELSEWHERE[document]:
        assert what
        assert reason
        listed[section, level] += count
    text = {
        (section, level): count
        for section, words in IN_THE_TEXT[document].items()
        for level, count in words.items()
    }
    # A sentence with a list, such as those of RFC 9111 sections 3 and 4, is more than one row.
    assert {key: count for key, count in text.items() if listed[key] < count} == {}
    invented = {
        (section, level)
        for section, level in listed
        if level in COUNTED and section not in IN_PART.get(document, ())
    } - set(text)
    assert invented == set()
