"""A fold's history as a picture and for TensorBoard: every line of it, and nothing else."""

import struct

import pytest

from paw_stack.report.history import draw_history, write_events

LINE = {"fit_rmse": 20.0, "held_out_rmse": 22.5, "learning_rate": 1e-3, "seconds": 3.25}
HISTORY = [
    {"epoch": 1, **LINE},
    {"epoch": 2, **LINE, "fit_rmse": 18.0, "held_out_rmse": 21.0, "learning_rate": 5e-4},
    {"epoch": 3, **LINE, "fit_rmse": 17.0, "held_out_rmse": 21.5, "learning_rate": 1e-4},
]


def records(path) -> list[bytes]:
    """The records of an events file: length, its checksum, data, theirs."""
    data, found, at = path.read_bytes(), [], 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        found.append(data[at + 12 : at + 12 + length])
        at += 12 + length + 4
    return found


def test_events_hold_each_value_at_its_epoch(tmp_path):
    event = pytest.importorskip("tensorboard.compat.proto.event_pb2").Event
    write_events(HISTORY, tmp_path / "events")
    first, *events = [event.FromString(record) for record in records(tmp_path / "events")]
    assert first.file_version == "brain.Event:2"
    assert [found.step for found in events] == [1, 2, 3]
    for found, line in zip(events, HISTORY, strict=True):
        values = {value.tag: value.simple_value for value in found.summary.value}
        assert values == pytest.approx({k: v for k, v in line.items() if k != "epoch"})


def drawn(history, path) -> bytes:
    draw_history(history, path)
    return path.read_bytes()


def test_every_curve_is_in_the_picture(tmp_path):
    path = tmp_path / "history.png"
    plain = drawn(HISTORY, path)
    assert plain[:8] == b"\x89PNG\r\n\x1a\n"
    assert drawn([{**line, "seconds": 9.0} for line in HISTORY], path) == plain
    for name in ("fit_rmse", "held_out_rmse", "learning_rate"):
        moved = [dict(line) for line in HISTORY]
        moved[1][name] *= 1.02
        assert drawn(moved, path) != plain
    inner = [{**line, "inner_rmse": 19.0} for line in HISTORY]
    assert drawn(inner, path) != plain
    alone = [{k: v for k, v in line.items() if k != "held_out_rmse"} for line in HISTORY]
    assert drawn(alone, path) != plain
