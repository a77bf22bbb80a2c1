"""Memory that a program may still take: the machine's, within the limit of its container."""

from pathlib import Path

import pytest

from paw_stack.pipeline import resources

GROUP = "sys/fs/cgroup"
MEMINFO = "MemTotal:  9000000 kB\nMemFree: 7 kB\nMemAvailable:   2000000 kB\nHugePages: 3\n"


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({}, 2_048_000_000),
        (
            {"max": "1000000000", "current": "400000000", "stat": "anon 5\ninactive_file 1000"},
            600_001_000,
        ),
        ({"max": "max", "current": "400000000", "stat": "inactive_file 0"}, 2_048_000_000),
        ({"max": "9000000000000", "current": "1", "stat": "inactive_file 0"}, 2_048_000_000),
        ({"max": "1000", "current": "5000", "stat": "inactive_file 10"}, 0),
        ({"max": "1000", "current": "10", "stat": "anon 5"}, 2_048_000_000),
    ],
    ids=["none", "limit", "no-limit", "larger", "full", "other"],
)
def test_the_smaller_of_machine_and_container_counts(files, wanted, tmp_path, monkeypatch):
    """What is cached of files that nobody reads is given back; nothing is less than nothing."""
    own = {f"{GROUP}/memory.{name}": text for name, text in files.items()}
    for name, text in {"proc/meminfo": MEMINFO, **own}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    at_home = ("/proc", "/sys")
    monkeypatch.setattr(
        resources,
        "Path",
        lambda path: tmp_path / path[1:] if path.startswith(at_home) else Path(path),
    )
    assert resources.available_memory() == wanted
    (tmp_path / "proc" / "meminfo").unlink()
    assert resources.available_memory() is None
