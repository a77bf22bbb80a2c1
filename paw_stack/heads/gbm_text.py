"""LightGBM's text of a model, checked and written anew before its own parser sees it.

Where counts, children or columns in the text do not fit each other, the parser ends the process and
prediction reads outside of arrays. A run may be a stranger's, so LightGBM gets a text that is made
of checked numbers alone, in the words that it had.
"""

import re

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


def sound_trees(text: str, width: int) -> str:
    """Write the trees of a regression on `width` columns anew.

    Raises:
        ValueError: they are none.
    """
    head, first, body = text.partition("\nend of trees")[0].partition("\nTree=")
    if not first or f"max_feature_idx={width - 1}" not in head.splitlines():
        raise ValueError(f"it holds no trees on {width} columns")
    n_trees = 1 + body.count("\nTree=")
    lines = {name: _lines(body, name, n_trees) for name in LINES}
    _require_sound(lines, width)
    names = " ".join(f"Column_{column}" for column in range(width))
    start = HEAD.format(last=width - 1, names=names, infos=" ".join(["none"] * width))
    return start + "\n".join(map(_written, range(n_trees), *lines.values())) + "\nend of trees\n"


def _lines(body: str, name: str, n_trees: int) -> list[str]:
    """What stands behind a name in each tree."""
    found = [rest.partition("\n")[0] for rest in body.split(f"\n{name}=")[1:]]
    if len(found) != n_trees:
        raise ValueError(f"{n_trees} trees have {len(found)} lines of {name}")
    return found


def _written(number: int, *lines: str) -> str:
    """A tree's lines that predictions need."""
    return f"Tree={number}\n{TREE.format(*lines)}\n"


def _require_sound(lines: dict[str, list[str]], width: int) -> None:
    """See that counts, children, columns and values fit each other, or raise ValueError."""
    one = np.ones(len(lines["num_leaves"]), dtype=np.int64)
    n = _integers(lines, "num_leaves", one, 1, MOST_LEAVES).astype(np.int64)
    inner = n - 1  # splits of each tree, numbered from 0
    _integers(lines, "num_cat", one, 0, 1)
    _integers(lines, "is_linear", one, 0, 1)
    _integers(lines, "split_feature", inner, 0, width)  # from here on there are so many
    own = np.arange(inner.sum()) - np.repeat(np.cumsum(inner) - inner, inner)
    leaves = np.repeat(n, inner)
    decisions = _integers(lines, "decision_type", inner, 0, DECISIONS.stop)
    _numbers(lines, "threshold", inner)
    _numbers(lines, "leaf_value", n)
    _numbers(lines, "shrinkage", one)
    for side in CHILDREN:
        child = _integers(lines, side, inner, -leaves, leaves - 1)
        if ((child >= 0) & (child <= own)).any():
            raise ValueError("a tree leads back to where it came from")
    if (decisions % DECISIONS.step).any():
        raise ValueError("a tree splits by categories")


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
    """Such numbers, whole ones from `low` to below `beyond`, without a point."""
    numbers = _numbers(lines, name, n)
    outside = (numbers < low) | (numbers >= beyond)
    if outside.any() or POINT.search("\n".join(lines[name])):
        raise ValueError(f"a tree's {name} lie outside of what the tree and the columns allow")
    return numbers
