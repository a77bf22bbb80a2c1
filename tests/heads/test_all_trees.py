"""All trees of a text are checked at once: none hides among others, nor costs what it claims."""

import tracemalloc

import lightgbm
import numpy as np
import pytest

from paw_stack.heads.gbm_text import sound_trees

WIDTH, TREES = 3, 30


@pytest.fixture(scope="module")
def text() -> str:
    """Trees of two to seven leaves."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, WIDTH))
    given = {"objective": "regression", "verbosity": -1, "num_leaves": 7, "min_gain_to_split": 3}
    booster = lightgbm.train(given, lightgbm.Dataset(rows, 4 * rows[:, 0] + rows[:, 1]), TREES)
    return booster.model_to_string()


def change(text: str, name: str, tree: int, into: str) -> str:
    """The last word of a line of one tree."""
    parts = text.split(f"\n{name}=")
    place = tree + 1 or -1
    line, end, rest = parts[place].partition("\n")
    parts[place] = " ".join([*line.split(" ")[:-1], into]) + end + rest
    return f"\n{name}=".join(parts)


def sizes(text: str) -> list[int]:
    return [int(part.partition("\n")[0]) for part in text.split("\nnum_leaves=")[1:]]


def test_trees_of_several_sizes_keep_their_words(text):
    assert len(set(sizes(text))) > 1
    both = text, sound_trees(text, WIDTH)
    for name in ("num_leaves", "threshold", "left_child", "leaf_value"):
        own, again = ([p.partition("\n")[0] for p in t.split(f"\n{name}=")] for t in both)
        assert own[1:] == again[1:]


@pytest.mark.parametrize("tree", [0, 11, -1])
@pytest.mark.parametrize("name", ["left_child", "right_child"])
def test_children_are_those_of_their_own_tree(text, tree, name):
    n = sizes(text)[tree]
    for child in (n - 1, -n - 1):  # which a larger tree may have
        with pytest.raises(ValueError, match=f"{name} lie outside"):
            sound_trees(change(text, name, tree, str(child)), WIDTH)
    with pytest.raises(ValueError, match="leads back"):
        sound_trees(change(text, name, tree, str(n - 2)), WIDTH)


def test_a_number_that_moved_to_the_next_tree_is_missed(text):
    """As many in all, and not in each."""
    first, second, *rest = text.split("\nleaf_value=")[1:]
    moved = "\nleaf_value=".join([text.split("\nleaf_value=")[0], f"1 {first}", second, *rest])
    shorter = change(moved, "leaf_value", 1, "").replace(" \n", "\n")
    with pytest.raises(ValueError, match="expected"):
        sound_trees(shorter, WIDTH)


@pytest.mark.parametrize("into", ["1_0", "٣", "nan", "1e5000", "1.", "--1", "2\t3", "2  3"])
def test_only_words_that_any_parser_reads_alike_pass(text, into):
    passes = into == "1."
    changed = change(text, "threshold", 5, into)
    if passes:
        assert f" {into}\n" in sound_trees(changed, WIDTH)
        return
    with pytest.raises(ValueError, match="threshold"):
        sound_trees(changed, WIDTH)


def test_a_claim_of_leaves_takes_no_memory(text):
    for tree in range(len(sizes(text))):
        text = change(text, "num_leaves", tree, "999999")
    tracemalloc.start()
    with pytest.raises(ValueError, match="expected 999998"):
        sound_trees(text, WIDTH)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6
