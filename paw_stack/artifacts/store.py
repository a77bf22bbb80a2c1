"""The copy of a run on an object store or another disk, through fsspec.

Enters: a URL such as `s3://bucket/runs` and the run's local folder. Files keep the place that they
have under the run folder. Object stores replace a file whole or not at all; a unit's `done.json`
goes last, so that whoever reads it finds the rest. Credentials and endpoints are the environment's
(`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, ...) and never the config's.
"""

import shutil
from pathlib import Path
from typing import Any

from paw_stack.atomic import remove, write_file
from paw_stack.errors import ConfigError


class Store:
    """Files under `url`, each beside its twin under the local folder `root`.

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
            write_file(Path(self._twin(path)), lambda twin: shutil.copyfile(path, twin))
            return
        self._fs.makedirs(self._parent(path), exist_ok=True)
        self._fs.put_file(str(path), self._twin(path))

    def pull(self, path: Path) -> bool:
        """Fetch what belongs at the local `path`; False where the store has none."""
        try:
            write_file(path, lambda here: self._fs.get_file(self._twin(path), str(here)))
        except FileNotFoundError:
            return False
        return True

    def read(self, path: Path) -> bytes | None:
        """The bytes of the store's twin of `path`, or None."""
        try:
            found: bytes = self._fs.cat_file(self._twin(path))
        except FileNotFoundError:
            return None
        return found

    def remove(self, path: Path) -> None:
        if self.disk:
            remove(Path(self._twin(path)))
        elif self._fs.exists(self._twin(path)):
            self._fs.rm_file(self._twin(path))

    def find(self, pattern: str) -> list[Path]:
        """Local twins of the store's files that match, such as `finetune/swin/fold0/*`."""
        found = self._fs.glob(f"{self._folder}/{pattern}")
        return [self.root / str(name)[len(self._folder) + 1 :] for name in sorted(found)]

    def _twin(self, path: Path) -> str:
        return f"{self._folder}/{path.relative_to(self.root).as_posix()}"

    def _parent(self, path: Path) -> str:
        return self._twin(path).rpartition("/")[0]


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
