"""What a disk may hold after the power failed.

The model is what POSIX promises and no more, so that ext4, XFS and btrfs are all inside it:

- The content of a file is on the disk once the file was synced. What was written since may be
  there, in part, as zeros of the right length, or not at all: the old content, or none.
- A change of names (create, rename, link, remove, mkdir) is on the disk once a folder that it
  touches was synced. Syncing a file does not save its name. A rename is there whole or not at all.
- Changes that are not on the disk yet may come there in any order, or never: each by itself.
  Journals (ext4, XFS) keep them in order, which is the case `journal`.
- Changes of one name, and what a synced folder depends on, keep their order.
- What is on the disk stays there: disks that lie about flushes are not modelled.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from power_loss.recorder import Operation

# How names and content fare that were not synced.
CASES = {
    "all there": ("all", "whole"),
    "content lost": ("all", "lost"),
    "names lost": ("none", "whole"),
    "journal": ("first", "any"),
    "reordered": ("some", "any"),
}
Tree = dict[str, bytes | None]  # path -> content; None: a folder


@dataclass(eq=False)
class Node:
    """A file or folder; symbolic links are files that hold a path."""

    is_folder: bool = False
    latest: bytes = b""
    synced: bytes = b""
    names: dict[str, "Node"] = field(default_factory=dict)  # as processes see them
    kept: dict[str, "Node"] = field(default_factory=dict)  # as the disk surely has them


Change = list[tuple[Node, str, Node | None]]  # folder, name, what it names from now on; all at once


class Disk:
    """A folder as processes see it, and what of that the disk surely holds."""

    def __init__(self, tree: Tree):
        self.root, self.pending = Node(is_folder=True), list[Change]()
        for path, content in sorted(tree.items()):
            node = Node(content is None, content or b"", content or b"")
            folder, name = self._place(path)
            folder.names[name] = folder.kept[name] = node

    def do(self, op: Operation) -> None:
        if op.what == "all synced":
            self._sync_all()
        elif op.what == "folder synced":
            self._sync(self._find(op.path))
        elif op.what in ("open", "empty", "content", "synced"):
            self._write(op)
        else:
            self._rename(op)

    def now(self) -> Tree:
        """As processes see it."""
        return _tree(self.root, lambda folder: folder.names, lambda file: file.latest)

    def after_power_loss(self, case: str, draw: Random) -> Tree:
        """One of the trees that the disk may hold."""
        names, content = CASES[case]
        shown: dict[Node, dict[str, Node]] = {}
        for change in _chosen(self.pending, names, draw):
            for folder, name, node in change:
                _set(shown.setdefault(folder, dict(folder.kept)), name, node)
        return _tree(
            self.root,
            lambda folder: shown.get(folder, folder.kept),
            lambda file: _content(file, content, draw),
        )

    def _write(self, op: Operation) -> None:
        folder, name = self._place(op.path)
        if name not in folder.names:
            self._change([(folder, name, Node())])
        node = folder.names[name]
        if op.what != "open":
            node.latest = op.content
        if op.what == "synced":
            node.synced = op.content

    def _rename(self, op: Operation) -> None:
        folder, name = self._place(op.path)
        if op.what in ("rename", "link"):
            target = (*self._place(op.other), folder.names[name])
            self._change([target] + ([(folder, name, None)] if op.what == "rename" else []))
        elif op.what == "remove":
            self._change([(folder, name, None)])
        elif op.path != ".":
            link = op.other.encode()
            self._change([(folder, name, Node(op.what == "mkdir", link, link))])

    def _change(self, change: Change) -> None:
        for folder, name, node in change:
            _set(folder.names, name, node)
        self.pending.append(change)

    def _sync(self, folder: Node) -> None:
        """All changes that touch it, and earlier ones that those depend on."""
        touched, saved = {folder}, []
        for change in reversed(self.pending):
            if touched & {place for place, _, _ in change}:
                touched |= {place for place, _, _ in change}
                saved.append(change)
        for change in reversed(saved):
            self.pending.remove(change)
            for place, name, node in change:
                _set(place.kept, name, node)

    def _sync_all(self) -> None:
        folders = [self.root]
        for folder in folders:
            self._sync(folder)
            for node in folder.names.values():
                node.synced = node.latest
                folders += [node] if node.is_folder else []

    def _place(self, path: str) -> tuple[Node, str]:
        return self._find(os.path.dirname(path)), os.path.basename(path)  # noqa: PTH119, PTH120

    def _find(self, path: str) -> Node:
        node = self.root
        for name in Path(path).parts:
            node = node.names[name]
        return node


def _set(names: dict[str, Node], name: str, node: Node | None) -> None:
    if node is None:
        names.pop(name, None)
    else:
        names[name] = node


def _chosen(pending: list[Change], which: str, draw: Random) -> list[Change]:
    if which == "some":
        return [change for change in pending if draw.random() < 0.5]
    n = {"all": len(pending), "none": 0}.get(which)
    return pending[: draw.randint(0, len(pending)) if n is None else n]


def _content(node: Node, which: str, draw: Random) -> bytes:
    if which == "whole" or node.latest == node.synced:
        return node.latest
    lost = [node.synced, b"", bytes(len(node.latest)), node.latest[: len(node.latest) // 2]]
    return draw.choice(lost + [node.latest] * (which == "any"))


def _tree(
    folder: Node,
    names: Callable[[Node], dict[str, Node]],
    content: Callable[[Node], bytes],
    path: str = "",
) -> Tree:
    found: Tree = {}
    for name, node in names(folder).items():
        if node.is_folder:
            found |= {path + name: None, **_tree(node, names, content, f"{path}{name}/")}
        else:
            found[path + name] = content(node)
    return found


def read_tree(folder: Path) -> Tree:
    found: Tree = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = str(path.readlink()).encode()
        else:
            found[name] = None if path.is_dir() else path.read_bytes()
    return found


def write_tree(tree: Tree, folder: Path) -> None:
    """In place of whatever is there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path, content in sorted(tree.items()):
        if content is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(content)
