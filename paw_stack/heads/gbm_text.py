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
NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?"
NUMBERS = re.compile(f"{NUMBER}(?: {NUMBER})*|")
CHILDREN = ("left_child", "right_child")
LINES = (
    *("num_leaves", "num_cat", "split_feature", "threshold", "decision_type", *CHILDREN),
    *("leaf_value", "is_linear", "shrinkage"),
)
DECISIONS = range(0, 12, 2)  # of numbers, not of categories


def sound_trees(text: str, width: int) -> str:
    """Write the trees of a regression on `width` columns anew.

    Raises:
        ValueError: they are none.
    """
    head, *blocks = re.split(r"\nTree=[0-9]+\n", text.partition("\nend of trees")[0])
    if not blocks or f"max_feature_idx={width - 1}" not in head.splitlines():
        raise ValueError(f"it holds no trees on {width} columns")
    names = " ".join(f"Column_{column}" for column in range(width))
    start = HEAD.format(last=width - 1, names=names, infos=" ".join(["none"] * width))
    trees = [f"Tree={number}\n{_tree(block, width)}\n" for number, block in enumerate(blocks)]
    return start + "\n".join(trees) + "\nend of trees\n"


def _tree(block: str, width: int) -> str:
    """A tree's lines that predictions need."""
    found = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
    n = int(_integers(found, "num_leaves", 1, range(1, MOST_LEAVES))[0])
    own = np.arange(n - 1)
    _integers(found, "num_cat", 1, range(1))
    _integers(found, "is_linear", 1, range(1))
    _integers(found, "split_feature", n - 1, range(width))
    decisions = _integers(found, "decision_type", n - 1, range(DECISIONS.stop))
    _numbers(found, "threshold", n - 1)
    _numbers(found, "leaf_value", n)
    _numbers(found, "shrinkage", 1)
    sides = [_integers(found, side, n - 1, range(-n, n - 1)) for side in CHILDREN]
    if any(((child >= 0) & (child <= own)).any() for child in sides):
        raise ValueError("a tree leads back to where it came from")
    if (decisions % DECISIONS.step).any():
        raise ValueError("a tree splits by categories")
    return "\n".join(f"{name}={found[name]}" for name in LINES) + "\n"


def _numbers(found: dict[str, str], name: str, n: int) -> np.ndarray:
    """The n finite numbers of a line, float64."""
    text = found.get(name, "?")
    if not NUMBERS.fullmatch(text):
        raise ValueError(f"a tree's {name} are no numbers")
    numbers = np.array(text.split(), dtype=np.float64)
    if len(numbers) != n or not np.isfinite(numbers).all():
        raise ValueError(f"a tree has {len(numbers)} {name}, expected {n} finite numbers")
    return numbers


def _integers(found: dict[str, str], name: str, n: int, allowed: range) -> np.ndarray:
    numbers = _numbers(found, name, n)
    inside = (allowed.start <= numbers) & (numbers < allowed.stop) & (numbers % 1 == 0)
    if not inside.all() or re.search("[.eE]", found[name]):
        raise ValueError(f"a tree's {name} lie outside of {allowed.start} to {allowed.stop - 1}")
    return numbers
