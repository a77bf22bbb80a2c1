"""Whatever a config, table or photo holds: a result or a sentence, no traceback and no hang."""

import contextlib
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from helpers.commands import failure, write_config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paw_stack.config import Config, load_config
from paw_stack.data.competition import load_competition
from paw_stack.data.folds import make_folds
from paw_stack.errors import ConfigError, DataError, PawStackError
from paw_stack.pipeline.experiment import open_job

SLOWLY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["auto", "cpu", "bf16", "../..", "\0", "~", "svr", "swin", "last", "1e400"])
)
JUNK = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


def places(node: object, path: tuple = ()) -> list[tuple]:
    """All places of a config, as paths of keys and numbers."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    found = []
    for key, value in items:
        found.append((*path, key))
        if isinstance(value, dict | list):
            found += places(value, (*path, key))
    return found


@pytest.fixture(scope="module")
def base(sample_folder, tmp_path_factory) -> dict:
    """Every key of a valid config."""
    folder = tmp_path_factory.mktemp("base")
    heads = {"svr": {}, "gbm": {}, "ridge": {}, "kernel_ridge": {}, "knn": {}}
    path = write_config(folder, sample_folder, heads=heads)
    return load_config(path).model_dump(mode="json")


@SLOWLY
@given(data=st.data())
def test_a_random_config_opens_or_is_told_what_is_wrong(data, base, tmp_path):
    raw = yaml.safe_load(yaml.safe_dump(base))
    for _ in range(data.draw(st.integers(1, 3))):
        *parents, last = data.draw(st.sampled_from(places(base)))
        node = raw
        junk = data.draw(JUNK)
        with contextlib.suppress(KeyError, IndexError, TypeError, AttributeError):
            for key in parents:  # an earlier turn may have replaced it
                node = node[key]
            node[last] = junk
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    try:
        config = load_config(tmp_path / "c.yaml")
    except ConfigError as error:
        assert error.problems
        return
    with contextlib.chdir(tmp_path):  # a root may be any relative path
        opened(config)


def opened(config: Config) -> None:
    """As a command does it, with data and root that are there."""
    try:
        open_job(config)
    except PawStackError as error:
        assert error.problems


@SLOWLY
@given(
    content=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-16"))
)
def test_any_bytes_as_a_config_are_one_error(content, tmp_path):
    (tmp_path / "c.yaml").write_bytes(content)
    with pytest.raises(ConfigError):
        load_config(tmp_path / "c.yaml")


@SLOWLY
@given(
    override=st.text(max_size=30)
    | st.builds("{}={}".format, st.text(max_size=9), st.text(max_size=9))
)
def test_any_override_is_taken_or_told(override, base, tmp_path):
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(base))
    try:
        load_config(tmp_path / "c.yaml", [override])
    except ConfigError as error:
        assert error.problems


CELLS = (
    st.sampled_from(["p0", "p1", "p2", "p3", "p4", "p5", "1", "4.5", "9", "", "NA", "nan", "inf"])
    | st.sampled_from(["1e999", "0x10", "1_000", "10", " 3 ", '"a\nb"', '"', "1,5", "é", "\0"])
    | st.text(max_size=5)
)
HEADERS = st.lists(
    st.sampled_from(["Id", "score", "a", "b", "Id ", "", "Unnamed: 0"]), min_size=1, max_size=6
)


@SLOWLY
@given(
    header=st.just(["Id", "score", "a", "b"]) | HEADERS,
    rows=st.lists(st.lists(CELLS, min_size=1, max_size=6), max_size=8),
    mark=st.booleans(),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_a_random_table_is_read_or_told(header, rows, mark, end, pictures):
    lines = [",".join(cells) for cells in (header, *rows)]
    text = ("\ufeff" if mark else "") + end.join(lines) + end
    data = text.encode("utf-8", errors="surrogatepass")
    (pictures.root / "train.csv").write_bytes(data)
    try:
        competition = load_competition(pictures.model_copy(update={"unreadable": "drop"}))
    except DataError as error:
        assert error.problems
        return
    assert np.isfinite(competition.target).all()
    assert len(competition.target) == len(competition.labelled.paths)


@SLOWLY
@given(
    ids=st.lists(st.sampled_from(["p0", "p1", "p2", "p3", "p4", "p5"]), min_size=1, unique=True),
    end=st.sampled_from(["\n", "\r\n"]),
    mark=st.booleans(),
)
def test_a_sound_table_is_read_whatever_its_line_ends(ids, end, mark, pictures):
    """With a quoted newline in a column that nobody asked for."""
    head = f'Id,score,a,b,"no\n{end}te"'
    lines = [head, *(f'{i},{1 + row},1,0,"x{end}y"' for row, i in enumerate(ids))]
    text = ("\ufeff" if mark else "") + end.join(lines) + end
    (pictures.root / "train.csv").write_bytes(text.encode())
    competition = load_competition(pictures)
    assert competition.labelled.ids.tolist() == ids
    n = len(ids)
    assert competition.target.tolist() == list(range(1, n + 1))
    if n < 3:
        with pytest.raises(DataError, match="folds need at least"):
            make_folds(competition.target, np.arange(n), 3, None, 0)
    else:
        folds = make_folds(competition.target, np.arange(n), 3, None, 0)
        assert np.ptp(np.bincount(folds.fold_of)) <= 1


def test_a_column_that_is_there_twice_is_told(pictures):
    path = pictures.root / "train.csv"
    path.write_text(path.read_text().replace("Id,score,a,b", "Id,score,score,b", 1))
    with pytest.raises(DataError, match="more than once"):
        load_competition(pictures)


def test_equal_targets_are_told_before_anything_is_trained(
    sample_folder, tmp_path, capsys, monkeypatch
):
    copy = tmp_path / "competition"
    shutil.copytree(sample_folder, copy)
    table = pd.read_csv(copy / "train.csv", dtype=str)
    table["Pawpularity"] = "40"
    table.to_csv(copy / "train.csv", index=False)
    said = failure(capsys, monkeypatch, "run", write_config(tmp_path, copy))
    assert "Pawpularity is 40 for all" in said


def test_an_svr_that_no_error_costs_anything_is_told(sample_folder, tmp_path, capsys, monkeypatch):
    config = write_config(tmp_path, sample_folder, heads={"svr": {"epsilon": 99}})
    said = failure(capsys, monkeypatch, "run", config)
    assert "heads.svr.epsilon: no target" in said
