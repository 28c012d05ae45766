"""The directory of a store on disk: what lies where, and who uses it.

    DIRECTORY/lock                  held while one of the next is made or thrown away
    DIRECTORY/v1/lock               held, shared, by every process that uses it
    DIRECTORY/v1/broken             says that the index is not to be believed
    DIRECTORY/v1/index/             LMDB's files
    DIRECTORY/v1/owners/TOKEN       held by the process that calls itself so, as long as it lives
    DIRECTORY/v1/bodies/ab/ID       contents, by number
    DIRECTORY/discarded-TOKEN       thrown away, about to be removed

The version stands in the path: another version's store is another directory, and two versions can
run side by side while one takes the other's place. Nothing else in DIRECTORY is ever touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from twisted.logger import Logger

_log = Logger()

VERSION = 1
_OTHER = re.compile(r"v[0-9]{1,4}\Z")
_DISCARDED = re.compile(r"discarded-[0-9a-f]{16}\Z")
_STRAY_SECONDS = 60.0


class Layout:
    """The directory, opened: this process is one of its users.

    :ivar index: where LMDB's files lie.
    :ivar token: this process's name among the users.
    """

    def __init__(self, directory: Path) -> None:
        """Make what is missing, and throw away what is broken or of another version.

        :raises OSError: when that cannot be done.
        """
        self._directory = directory
        self._root = directory / f"v{VERSION}"
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(directory / "lock"):
            self._discard_others()
            if (self._root / "broken").exists() and self._unused(self._root):
                _log.warn("the cache in {path} is broken and begins empty", path=str(directory))
                self._discard(self._root)
            for part in ("index", "owners", "bodies"):
                (self._root / part).mkdir(mode=0o700, parents=True, exist_ok=True)
            # mkdir(parents=True) makes parents by the umask.
            self._root.chmod(0o700)
            self._use = _lock(self._root / "lock", fcntl.LOCK_SH)
        self.index = self._root / "index"
        self.token = os.urandom(8)
        self._own = _lock(self._owner(self.token), fcntl.LOCK_EX)
        self._made: set[str] = set()

    def close(self) -> None:
        """Be no user any more."""
        with contextlib.suppress(FileNotFoundError):
            self._owner(self.token).unlink()
        os.close(self._own)
        os.close(self._use)

    # --- bodies -------------------------------------------------------------------------------

    def path(self, number: int) -> str:
        """Give the path of a body's file: in one of 256 folders, by its lowest byte."""
        return f"{self._root}/bodies/{number & 0xFF:02x}/{number:016x}"

    def has_bodies(self) -> bool:
        """Say whether anything was ever stored here."""
        with os.scandir(self._root / "bodies") as found:
            return any(True for _ in found)

    def create(self, number: int) -> int:
        """Make a body's file, readable and writable.

        :returns: its descriptor.
        :raises OSError: when it cannot be made.
        """
        path = self.path(number)
        folder = os.path.dirname(path)
        if folder not in self._made:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            self._made.add(folder)
        # It may be there already: numbers that were given out before a power failure are given
        # out again when the index has forgotten it.
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)

    def unlink(self, number: int) -> None:
        """Remove a body's file; there may be none."""
        try:
            os.unlink(self.path(number))
        except FileNotFoundError:
            pass
        except OSError as error:
            _log.warn("a file of the cache cannot be removed: {error}", error=str(error))

    # --- users --------------------------------------------------------------------------------

    @contextlib.contextmanager
    def bury(self, token: bytes) -> Iterator[bool]:
        """Take the place of another user to clear up after it.

        :returns: whether it is dead, and nobody else does.
        """
        if token == self.token:
            yield False
            return
        path = self._owner(token)
        lock = _try_lock(path)
        try:
            yield lock is not None
            if lock is not None:
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
        finally:
            if lock is not None:
                os.close(lock)

    def bury_strays(self, known: set[bytes]) -> None:
        """Remove what is left of users that died before they wrote anything.

        :param known: those that are somebody else's business.
        """
        for path in (self._root / "owners").iterdir():
            with contextlib.suppress(OSError, ValueError):
                token = bytes.fromhex(path.name)
                if token not in known and time.time() - path.stat().st_mtime > _STRAY_SECONDS:
                    with self.bury(token):
                        pass

    def _owner(self, token: bytes) -> Path:
        return self._root / "owners" / token.hex()

    # --- throwing away ------------------------------------------------------------------------

    def mark_broken(self) -> None:
        """Have the next one who comes begin empty."""
        with contextlib.suppress(OSError):
            (self._root / "broken").touch(mode=0o600)

    def start_anew(self) -> bool:
        """Throw everything away and begin empty, if nobody else uses it.

        :returns: whether that was done.
        """
        with _locked(self._directory / "lock"):
            os.close(self._own)
            os.close(self._use)
            unused = self._unused(self._root)
            if unused:
                self._discard(self._root)
                for part in ("index", "owners", "bodies"):
                    (self._root / part).mkdir(mode=0o700, parents=True)
                self._root.chmod(0o700)
            self._use = _lock(self._root / "lock", fcntl.LOCK_SH)
        self._own = _lock(self._owner(self.token), fcntl.LOCK_EX)
        return unused

    def remove_discarded(self) -> None:
        """Remove what was thrown away, in small slices: it may be a million files."""
        for path in self._directory.iterdir():
            if _DISCARDED.match(path.name):
                for file in path.glob("bodies/*/*"):
                    with contextlib.suppress(OSError):
                        file.unlink()
                    time.sleep(0.0002)
                shutil.rmtree(path, ignore_errors=True)

    def _discard_others(self) -> None:
        for path in self._directory.iterdir():
            if path != self._root and _OTHER.match(path.name) and self._unused(path):
                _log.warn(
                    "{path} holds a cache of another version: this one begins empty",
                    path=str(path),
                )
                self._discard(path)

    def _discard(self, path: Path) -> None:
        path.rename(self._directory / f"discarded-{os.urandom(8).hex()}")

    def _unused(self, root: Path) -> bool:
        lock = _try_lock(root / "lock")
        if lock is None:
            return not (root / "lock").exists()
        os.close(lock)
        return True


def _lock(path: Path, how: int) -> int:
    """Open and lock a file; the lock ends with the process, however that ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, how)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _try_lock(path: Path) -> int | None:
    """Lock a file that nobody else has locked; ``None`` when somebody has, or there is none."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = _lock(path, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)
