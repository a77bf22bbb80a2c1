"""The copy of a run on an object store or another disk, through fsspec, and that of one step of it.

Enters: a URL such as `s3://bucket/runs` and the run's local folder. Files keep the place that they
have under the run folder. Object stores replace a file whole or not at all; a step's `done.json`
goes last, so that whoever reads it finds the rest. Credentials and endpoints are the environment's
(`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, ...) and never the config's.
"""

import shutil
from pathlib import Path
from typing import Any

from paw_stack.atomic import remove, write_file
from paw_stack.errors import ConfigError


class Store:
    """Files under `url`, as copies of those under the local folder `root`.

    Raises:
        ConfigError: no package serves the URL.
    """

    def __init__(self, url: str, root: Path):
        self.root = root
        self._fs, self._folder = _open(f"{url.rstrip('/')}/{root.name}")
        # A disk replaces no file whole by itself.
        self.disk = Path(self._folder) if "file" in _protocols(self._fs) else None

    def push(self, path: Path) -> None:
        """Copy a local file of the run."""
        if self.disk:
            write_file(Path(self._copy(path)), lambda copy: shutil.copyfile(path, copy))
            return
        self._fs.makedirs(self._parent(path), exist_ok=True)
        self._fs.put_file(str(path), self._copy(path))

    def pull(self, path: Path) -> bool:
        """Fetch what belongs at the local `path`; False where the store has none."""
        try:
            write_file(path, lambda here: self._fs.get_file(self._copy(path), str(here)))
        except FileNotFoundError:
            return False
        return True

    def read(self, path: Path) -> bytes | None:
        """The bytes of the store's copy of `path`, or None."""
        try:
            found: bytes = self._fs.cat_file(self._copy(path))
        except FileNotFoundError:
            return None
        return found

    def remove(self, path: Path) -> None:
        if self.disk:
            remove(Path(self._copy(path)))
        elif self._fs.exists(self._copy(path)):
            self._fs.rm_file(self._copy(path))

    def find(self, pattern: str) -> list[Path]:
        """Local paths of the store's files that match, such as `finetune/swin/fold0/*`."""
        found = self._fs.glob(f"{self._folder}/{pattern}")
        return [self.root / str(name)[len(self._folder) + 1 :] for name in sorted(found)]

    def _copy(self, path: Path) -> str:
        return f"{self._folder}/{path.relative_to(self.root).as_posix()}"

    def _parent(self, path: Path) -> str:
        return self._copy(path).rpartition("/")[0]


def _protocols(fs: Any) -> tuple[str, ...]:
    found = fs.protocol
    return (found,) if isinstance(found, str) else tuple(found)


def _open(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    try:
        # Listings are asked for anew: other machines write, too.
        fs, folder = url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise ConfigError(
            f"run.store: {url} cannot be opened ({error}); for s3:// pip install"
            " 'paw-stack[cluster]', for others the package that fsspec names"
        ) from None
    return fs, str(folder).rstrip("/")


CHECKPOINT = "state.safetensors"  # of an interrupted step; no output


class RemoteCopy:
    """The store's copies of a step's files; `done.json` goes last and is removed first."""

    def __init__(self, store: Store, done: Path, outputs: tuple[str, ...]):
        """
        Args:
            done: the step's local `done.json`.
            outputs: patterns of its other files, from the run folder.
        """
        self._store, self._done, self._outputs = store, done, outputs

    def done_json(self) -> bytes | None:
        return self._store.read(self._done)

    def push(self) -> None:
        """Copy all outputs and remove what the store has beside them, such as a state.

        Its record goes first: it may be one of other inputs, and must not vouch for these files.
        """
        self.begin()
        here = [path for pattern in self._outputs for path in self._store.root.glob(pattern)]
        made = sorted(path for path in here if self._is_output(path))
        for old in set(self._there()) - set(made):
            self._store.remove(old)
        for path in [*made, self._done]:
            self._store.push(path)
        self.remove_state()

    def fetch(self) -> None:
        for path in [*self._there(), self._done]:
            self._store.pull(path)

    def begin(self) -> None:
        self._store.remove(self._done)

    def fetch_state(self) -> None:
        """The store's state is as new as any: each is copied there once it is written."""
        self._store.pull(self._state)

    def push_state(self) -> None:
        self._store.push(self._state)

    def remove_state(self) -> None:
        self._store.remove(self._state)

    @property
    def _state(self) -> Path:
        return self._done.parent / CHECKPOINT

    def _there(self) -> list[Path]:
        found = [path for pattern in self._outputs for path in self._store.find(pattern)]
        return [path for path in found if self._is_output(path)]

    def _is_output(self, path: Path) -> bool:
        return path.name != CHECKPOINT and path != self._done and not path.name.startswith(".")
