"""LightGBM's text of a model, checked and written anew before its own parser sees it.

Where counts, children or columns in the text do not fit each other, the parser ends the process and
prediction reads outside of arrays. A run may be a stranger's, so LightGBM gets a text that is made
of checked numbers alone, in the words that it had.
"""

import re
from typing import NamedTuple

import numpy as np

HEAD = """tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx={last}
objective=regression
feature_names={names}
feature_infos={infos}

"""
ZERO = float(np.float32(1e-35))  # what LightGBM takes for 0, both ways
MOST_LEAVES = 1_000_000
FOREIGN = re.compile(r"[^-+.0-9eE \n]|[eE][-+]?[0-9]{4}")  # no part of a list of decimal numbers
POINT = re.compile("[.eE]")
CHILDREN = ("left_child", "right_child")
LINES = (
    *("num_leaves", "num_cat", "split_feature", "threshold", "decision_type", *CHILDREN),
    *("leaf_value", "is_linear", "shrinkage"),
)
TREE = "\n".join(f"{name}={{}}" for name in LINES) + "\n"
DECISIONS = range(0, 12, 2)  # of numbers, not of categories


class Trees(NamedTuple):
    """Nodes of all trees, one tree after another. A child under 0 is a leaf: ~child its number."""

    root: np.ndarray  # (n_trees,) int64, a node or, of a tree without any, its leaf
    column: np.ndarray  # (n_nodes,) int64
    threshold: np.ndarray  # (n_nodes,) float64; up to it values go left
    decision: np.ndarray  # (n_nodes,) int64, LightGBM's bits
    children: np.ndarray  # (n_nodes, 2) int64, left and right
    leaf: np.ndarray  # (n_leaves,) float64


def read_trees(text: str, width: int) -> Trees:
    """The trees of a regression on `width` columns.

    Raises:
        ValueError: they are none.
    """
    return _sound(_lines_of(text, width), width)


def sound_trees(text: str, width: int) -> str:
    """Write the trees of a regression on `width` columns anew.

    Raises:
        ValueError: they are none.
    """
    lines = _lines_of(text, width)
    _sound(lines, width)
    names = " ".join(f"Column_{column}" for column in range(width))
    start = HEAD.format(last=width - 1, names=names, infos=" ".join(["none"] * width))
    trees = map(_written, range(len(lines["num_leaves"])), *lines.values())
    return start + "\n".join(trees) + "\nend of trees\n"


def predict_trees(trees: Trees, X: np.ndarray) -> np.ndarray:
    """Predictions (n,) float64 for features (n, width), bit by bit those of LightGBM.

    Soonest for some hundred rows, for whom LightGBM would be imported first.
    """
    X = np.where(np.abs(X) <= ZERO, 0.0, X.astype(np.float64))
    at = np.tile(trees.root, (len(X), 1))
    while (inside := at >= 0).any():
        node = at[inside]
        value = X[np.nonzero(inside)[0], trees.column[node]]
        at[inside] = trees.children[node, _side(value, trees.threshold[node], trees.decision[node])]
    return np.asarray(trees.leaf[~at].cumsum(axis=1)[:, -1])  # a sum in the order of the trees


def _side(value: np.ndarray, threshold: np.ndarray, decision: np.ndarray) -> np.ndarray:
    """0: left, 1: right. Of the bits 2 says that missing values go left, 4 and 8 which are so."""
    nan = np.isnan(value)
    value = np.where(nan & (decision & 8 == 0), 0.0, value)
    missing = np.where(decision & 8, nan, (decision & 4 != 0) & (value == 0))
    return np.where(missing, decision & 2 == 0, ~(value <= threshold)).astype(np.int64)


def _lines_of(text: str, width: int) -> dict[str, list[str]]:
    """Name -> what stands behind it, of each tree."""
    head, first, body = text.partition("\nend of trees")[0].partition("\nTree=")
    if not first or f"max_feature_idx={width - 1}" not in head.splitlines():
        raise ValueError(f"it holds no trees on {width} columns")
    n_trees = 1 + body.count("\nTree=")
    return {name: _lines(body, name, n_trees) for name in LINES}


def _lines(body: str, name: str, n_trees: int) -> list[str]:
    """What stands behind a name in each tree."""
    found = [rest.partition("\n")[0] for rest in body.split(f"\n{name}=")[1:]]
    if len(found) != n_trees:
        raise ValueError(f"{n_trees} trees have {len(found)} lines of {name}")
    return found


def _written(number: int, *lines: str) -> str:
    """A tree's lines that predictions need."""
    return f"Tree={number}\n{TREE.format(*lines)}\n"


def _sound(lines: dict[str, list[str]], width: int) -> Trees:
    """See that counts, children, columns and values fit each other, or raise ValueError."""
    one = np.ones(len(lines["num_leaves"]), dtype=np.int64)
    n = _integers(lines, "num_leaves", one, 1, MOST_LEAVES)
    inner = n - 1  # splits of each tree, numbered from 0
    _integers(lines, "num_cat", one, 0, 1)
    _integers(lines, "is_linear", one, 0, 1)
    _numbers(lines, "shrinkage", one)
    columns = _integers(lines, "split_feature", inner, 0, width)  # from here on so many are there
    decisions = _integers(lines, "decision_type", inner, 0, DECISIONS.stop)
    thresholds, leaves = _numbers(lines, "threshold", inner), _numbers(lines, "leaf_value", n)
    if (decisions % DECISIONS.step).any():
        raise ValueError("a tree splits by categories")
    children = _children(lines, n)
    first_node, first_leaf = np.cumsum(inner) - inner, np.cumsum(n) - n
    root = np.where(inner > 0, first_node, ~first_leaf)
    return Trees(root, columns, thresholds, decisions, children, leaves)


def _children(lines: dict[str, list[str]], n: np.ndarray) -> np.ndarray:
    """(n_nodes, 2) among all nodes and leaves; in the text they are numbered in each tree."""
    inner = n - 1
    first_node, first_leaf, leaves = (
        np.repeat(start, inner) for start in (np.cumsum(inner) - inner, np.cumsum(n) - n, n)
    )
    own = np.arange(inner.sum()) - first_node
    sides = []
    for name in CHILDREN:
        child = _integers(lines, name, inner, -leaves, leaves - 1)
        if ((child >= 0) & (child <= own)).any():
            raise ValueError("a tree leads back to where it came from")
        sides.append(np.where(child >= 0, child + first_node, child - first_leaf))
    return np.stack(sides, axis=1)


def _numbers(lines: dict[str, list[str]], name: str, n: np.ndarray) -> np.ndarray:
    """Finite numbers of the lines of a name, n (n_trees,) in each, one after another, float64."""
    found = np.array([line.count(" ") + (line != "") for line in lines[name]])
    if wrong := np.flatnonzero(found != n).tolist():
        given, wanted = found[wrong[0]], n[wrong[0]]
        raise ValueError(f"a tree has {given} {name}, expected {wanted} finite numbers")
    text = "\n".join(lines[name])
    words = text.split()
    try:
        numbers = np.fromiter(map(float, words), np.float64, len(words))
    except ValueError:
        raise ValueError(f"a tree's {name} are no numbers") from None
    if FOREIGN.search(text) or len(numbers) != n.sum():  # Python's floats are more than these
        raise ValueError(f"a tree's {name} are no numbers")
    if not np.isfinite(numbers).all():
        raise ValueError(f"a tree's {name}: expected finite numbers")
    return numbers


def _integers(
    lines: dict[str, list[str]],
    name: str,
    n: np.ndarray,
    low: int | np.ndarray,
    beyond: int | np.ndarray,
) -> np.ndarray:
    """Such numbers, whole ones from `low` to below `beyond`, without a point; int64."""
    numbers = _numbers(lines, name, n)
    outside = (numbers < low) | (numbers >= beyond)
    if outside.any() or POINT.search("\n".join(lines[name])):
        raise ValueError(f"a tree's {name} lie outside of what the tree and the columns allow")
    return numbers.astype(np.int64)
