"""The twin of one unit in a store, for machines that share no disk."""

from pathlib import Path

from paw_stack.artifacts.store import Store

STATE = "state.safetensors"  # of an interrupted unit; no output


class Twin:
    """Copies of a unit's files; `done.json` goes last and is removed first."""

    def __init__(self, store: Store, done: Path, outputs: tuple[str, ...]):
        """
        Args:
            done: the unit's local `done.json`.
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
        self._store.remove(self._state)

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

    @property
    def _state(self) -> Path:
        return self._done.parent / STATE

    def _there(self) -> list[Path]:
        found = [path for pattern in self._outputs for path in self._store.find(pattern)]
        return [path for path in found if self._is_output(path)]

    def _is_output(self, path: Path) -> bool:
        return path.name != STATE and path != self._done and not path.name.startswith(".")
