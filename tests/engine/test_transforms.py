"""Body filters in a row, of which some have to wait at the end."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from proxykit.engine.transforms import Transforms


class Plain:
    def __init__(self, name=b"", end=b""):
        self.name, self.end, self.fed = name, end, []

    def feed(self, chunk):
        self.fed.append(chunk)
        return self.name + chunk

    def finish(self):
        return self.end


class Late(Plain):
    """Gives what it was fed at the end, and that later."""

    def __init__(self):
        super().__init__()
        self.given = Deferred()

    def feed(self, chunk):
        self.fed.append(chunk)
        return b""

    def finish(self):
        return self.given


def finished(transforms):
    results = []
    Deferred.fromCoroutine(transforms.finish()).addBoth(results.append)
    return results


def test_who_need_not_wait_finish_at_once():
    transforms = Transforms([Plain(b"1", b"a"), Plain(b"2", b"b")])

    assert transforms.feed(b"x") == b"21x"
    assert transforms.finish() == b"2ab"


def test_what_comes_later_comes_in_its_place():
    late = Late()
    transforms = Transforms([late])

    assert transforms.feed(b"x") == b""
    results = finished(transforms)
    assert results == []
    late.given.callback(b"later")
    assert results == [b"later"]


def test_what_fails_later_is_a_failure():
    late = Late()
    results = finished(Transforms([Plain(), late]))
    late.given.errback(ValueError("no"))

    with pytest.raises(ValueError, match="no"):
        results[0].raiseException()


def test_what_stands_before_is_fed_to_who_waits():
    late = Late()
    transforms = Transforms([Plain(b"", b"end"), late])
    results = finished(transforms)
    late.given.callback(b"".join(late.fed))

    assert results == [b"end"]


def test_what_stands_behind_is_fed_in_pieces(tmp_path):
    """In turns of the reactor, which has to run for it: in a process of its own."""
    import subprocess
    import sys
    from pathlib import Path

    program = f"""
import sys
sys.path[:0] = [{str(Path(__file__).parents[2])!r}]
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import react
from proxykit.engine.transforms import Transforms

class Late:
    def feed(self, chunk): return b""
    def finish(self): return succeed(b"x" * 200_000)

class Behind:
    def __init__(self): self.sizes = []
    def feed(self, chunk): self.sizes.append(len(chunk)); return chunk[:1]
    def finish(self): return b"."

async def main(reactor):
    behind = [Behind(), Behind()]
    assert await Transforms([Late(), *behind]).finish() == b"xxxx.."[:4] + b"..", "content"
    assert behind[0].sizes == [65536, 65536, 65536, 3392], behind[0].sizes

react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=20)
