"""A collection in a stream: kills, a cluster, memory."""

import numpy as np
import pytest
from helpers.commands import call
from helpers.shards import (
    collected,
    killed_after,
    megabytes_by_shard,
    stream_config,
    tiles,
    write_tars,
)


@pytest.mark.slow
def test_a_killed_stream_goes_on_without_a_row_lost_or_doubled(sample_folder, tmp_path, capsys):
    source = write_tars(tmp_path / "tars", tiles(30), 5)
    whole, broken = (stream_config(tmp_path / k, sample_folder, 4) for k in ("whole", "broken"))
    call("embed", whole, "--source", source)
    killed_after(2, "embed", broken, "--source", source)
    capsys.readouterr()
    call("embed", broken, "--source", source)
    assert "6 shards, 2 done before and skipped: 30 photos" in capsys.readouterr().out
    ids, rows = collected(tmp_path / "broken")
    assert ids == [f"{number:06d}" for number in range(30)]
    np.testing.assert_array_equal(rows, collected(tmp_path / "whole")[1])


@pytest.mark.slow
def test_shards_on_a_cluster_are_those_of_one_process(sample_folder, tmp_path, capsys):
    pytest.importorskip("ray", reason="needs paw-stack[cluster]")
    source = write_tars(tmp_path / "tars", tiles(30), 5)
    here, there = (stream_config(tmp_path / name, sample_folder, 4) for name in ("here", "there"))
    call("embed", here, "--source", source, "--set", "compute.precision=fp32")
    killed_after(2, "embed", there, "--source", source, "--set", "compute.precision=fp32")
    on_ray = ("--set", "compute.precision=fp32", "--on", "ray")
    capsys.readouterr()
    call("embed", there, "--source", source, *on_ray)
    said = capsys.readouterr().out
    assert said.count("embed shard") == 4
    assert "6 shards, 2 done before and skipped: 30 photos embedded, 0 unreadable" in said
    ours, theirs = collected(tmp_path / "here"), collected(tmp_path / "there")
    assert ours[0] == theirs[0]
    np.testing.assert_allclose(ours[1], theirs[1], atol=1e-5)


@pytest.mark.slow
def test_memory_stays_flat_and_a_kill_costs_no_row(sample_folder, tmp_path):
    """20,000 photos in 40 shards; `bench_stream.py` does the same with 100,000."""
    n = 20_000
    source = write_tars(tmp_path / "tars", tiles(n), 500)
    config = stream_config(tmp_path, sample_folder)
    words = ("embed", config, "--source", source)
    killed_after(10, *words)
    megabytes = list(megabytes_by_shard(tmp_path, *words))
    ids, rows = collected(tmp_path)
    assert ids == [f"{number:06d}" for number in range(n)]
    assert len(rows) == n
    assert np.isfinite(rows).all()
    late = megabytes[len(megabytes) // 3 : -1]
    assert len(late) >= 10
    # 10,000 photos: their pixels alone are 31 MB.
    assert max(late) - min(late) < 15
