"""A run on real Ray clusters on this machine: lost machines, Ctrl-C, an S3 store, errors.

A worker computes with as many threads as its unit has cores (one here), and sums in another order
give other last digits: the local runs that are compared with have one thread, too.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
from helpers.commands import (
    AUTOENCODER,
    GAN,
    VARIANTS,
    call,
    extra_config,
    failure,
    submission,
    write_config,
    write_study,
)

from paw_stack.artifacts.remote import Store
from paw_stack.cluster.steps import do_step
from paw_stack.cluster.table import TaskTable
from paw_stack.config import load_config
from paw_stack.console import printing, say
from paw_stack.errors import ArtifactError
from paw_stack.pipeline.experiment import open_job
from paw_stack.pipeline.graph import STAGES, plan

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs paw-stack[cluster]")
PAW_STACK = Path(sys.executable).parent / "paw-stack"
LONG = {"epochs": 60, "batch_size": 8, "learning_rate": 1e-3}  # some seconds a fold
POLL_S = 0.02


def leftovers(folder: Path) -> list[Path]:
    found = [path for path in folder.rglob("*") if path.name.endswith(".tmp")]
    return found + list(folder.rglob("lock.json")) + list(folder.rglob("state.safetensors"))


def in_its_own_process(*words: object) -> None:
    """A command with one thread; fsspec keeps the servers that a process has once met."""
    done = subprocess.run(
        [PAW_STACK, *map(str, words)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def wait_for(condition, alive) -> None:
    while not condition():
        assert alive(), "over before what was waited for"
        threading.Event().wait(POLL_S)


@pytest.fixture(scope="module")
def local(sample_folder, tmp_path_factory) -> Path:
    """A whole run on this machine with one thread."""
    folder = tmp_path_factory.mktemp("local")
    config = write_config(folder, sample_folder, finetune=LONG)
    in_its_own_process("run", config)
    return folder


@pytest.fixture
def two_machines(monkeypatch) -> Iterator[tuple]:
    """A cluster of two nodes with a core each, and its second node."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    machine = {"num_cpus": 1, "object_store_memory": 100_000_000}
    # Not below tmp_path: the paths of Ray's sockets would be too long.
    with tempfile.TemporaryDirectory(prefix="ray") as scratch:
        monkeypatch.setenv("TMPDIR", scratch)
        head = {**machine, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            yield cluster, cluster.add_node(**machine)
        finally:
            cluster.shutdown()


def test_every_unit_comes_after_those_that_it_needs(sample_folder, tmp_path):
    backbones = [
        {"name": "a", "model": "mobilenetv3_small_050", "pretrained": False, "image_size": 32},
        {"name": "b", "model": "mobilenetv3_small_050", "pretrained": False, "frozen": True},
    ]
    heads = {"ridge": {}, "svr": {}, "together": [["a", "b"]]}
    path = write_config(tmp_path, sample_folder, backbones=backbones, heads=heads)
    works = plan(open_job(load_config(path)), [0, 1])
    works = {name: step for name, step in works.items() if step.stage in STAGES}
    assert len(works) == 2 + 2 + 1 + 3 * 2
    seen = set()
    for name, work in works.items():
        assert {need.name for need in work.needs.values()} <= seen
        seen.add(name)
    assert set(works["fit b.ridge"].needs) == {"embed b"}
    assert set(works["fit a+b.svr"].needs) == {"embed a fold 0", "embed a fold 1", "embed b"}
    places = [work.done for work in works.values()]
    assert len(set(places)) == len(places)


def test_a_worker_that_sees_other_photos_refuses(sample_folder, tmp_path):
    config = load_config(write_config(tmp_path, sample_folder))
    name, work = next(iter(plan(open_job(config), [0]).items()))
    other = config.model_copy(update={"run": config.run.model_copy(update={"seed": 5})})
    with pytest.raises(ArtifactError, match="this machine sees other inputs"):
        do_step(other.model_dump_json(), "0", name, work.fingerprint)
    assert not work.done.exists()


def test_the_table_counts_by_stage_and_leaves_what_is_said(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    monkeypatch.setenv("COLUMNS", "80")
    table = TaskTable(["finetune", "finetune", "fit-heads"])
    with printing(), table.shown():
        table.finished("finetune")
        say("one fold is done")
    said = capsys.readouterr().out
    assert "one fold is done" in said
    last = said[said.rindex("minutes") :]
    assert re.search(r"finetune\W+1\W+2\W", last)
    assert re.search(r"fit-heads\W+0\W+1\W", last)


@needs_ray
@pytest.mark.slow
def test_a_run_survives_the_loss_of_a_machine(sample_folder, tmp_path, local, two_machines, capsys):
    cluster, second = two_machines
    config = write_config(tmp_path, sample_folder, finetune=LONG)
    folds = [tmp_path / "runs" / "tiny" / "finetune" / "swin" / f"fold{k}" for k in (0, 1)]
    main = threading.current_thread()
    killed = []

    def both_train() -> bool:
        return all((fold / "state.safetensors").exists() for fold in folds)

    def kill() -> None:
        wait_for(both_train, main.is_alive)
        cluster.remove_node(second, allow_graceful=False)
        killed.append(not any((fold / "done.json").exists() for fold in folds))

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    call("run", config, "--on", "ray", "--address", cluster.address)
    killer.join()
    assert killed == [True]
    said = capsys.readouterr().out
    assert "ray: 2 machines, 2 cores" in said
    assert "goes on after epoch" in said
    assert submission(tmp_path) == submission(local)
    assert leftovers(tmp_path) == []


@needs_ray
@pytest.mark.slow
def test_ctrl_c_stops_the_tasks_and_the_run_goes_on_here(sample_folder, tmp_path, local):
    config = write_config(tmp_path, sample_folder, finetune=LONG)
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [PAW_STACK, "run", config, "--on", "ray"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    training = tmp_path / "runs" / "tiny" / "finetune"
    wait_for(lambda: any(training.rglob("state.safetensors")), lambda: run.poll() is None)
    run.send_signal(signal.SIGINT)
    said = run.communicate()[0].decode()
    assert run.returncode not in (0, 2), said
    assert [path.name for path in leftovers(tmp_path) if path.name != "state.safetensors"] == []
    assert not (tmp_path / "runs" / "tiny" / "submission.csv").exists()
    subprocess.run([PAW_STACK, "run", config], env=one_thread, check=True, capture_output=True)
    assert submission(tmp_path) == submission(local)


@needs_ray
@pytest.mark.slow
def test_an_error_on_a_worker_reads_as_it_does_here(sample_folder, tmp_path, capsys, monkeypatch):
    config = write_config(tmp_path, sample_folder)
    words = ("run", config, "--set", "finetune.learning_rate=1e6")
    here = failure(capsys, monkeypatch, *words, "--fold", 0)
    command = [PAW_STACK, *map(str, words), "--on", "ray"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    there = done.stderr
    assert "the loss is" in here
    assert there.splitlines()[0].startswith("paw-stack: finetune swin fold")
    assert "lower finetune.learning_rate" in there
    assert leftovers(tmp_path) == []


@pytest.fixture
def bucket(monkeypatch) -> Iterator[str]:
    """The URL of an empty bucket of an S3 server on this machine."""
    boto3 = pytest.importorskip(
        "boto3", reason="moto is not installed: pip install -e '.[test-more]'"
    )
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="shelter")
    yield "s3://shelter/runs"
    server.stop()


@needs_ray
@pytest.mark.slow
def test_machines_that_share_no_disk_work_through_s3(
    sample_folder,
    tmp_path,
    bucket,
    local,
    two_machines,
):
    config = write_config(tmp_path, sample_folder, finetune=LONG)
    words = ("run", config, "--set", f"run.store={bucket}", "--on", "ray")
    call(*words, "--address", two_machines[0].address)
    assert submission(tmp_path) == submission(local)
    twin = Store(bucket, tmp_path / "runs" / "tiny")
    assert twin.read(tmp_path / "runs" / "tiny" / "submission.csv") == submission(local)
    assert twin.find("finetune/swin/*/state.safetensors") == []
    embeddings = [path.name for path in twin.find("embeddings/swin/fold0/*")]
    assert embeddings == ["done.json", "embedding.npy", "ids.csv"]
    # The blend compares labelled and test rows in every fold's embeddings.
    fetched = [path.name for path in (tmp_path / "runs" / "tiny" / "embeddings" / "swin").iterdir()]
    assert sorted(fetched) == ["fold0", "fold1"]


EVERYTHING = {
    "gan": GAN,
    "pseudo": {"start": "teacher"},
    "pretrain": {"epochs": 1},
    "autoencoder": AUTOENCODER,
}


@needs_ray
@pytest.mark.slow
@pytest.mark.parametrize("extra", [EVERYTHING, VARIANTS["fed"]])
def test_what_extra_photos_make_goes_through_s3_too(
    extra, sample_folder, tmp_path, bucket, two_machines
):
    here = extra_config(tmp_path / "here", sample_folder, extra)
    in_its_own_process("run", here)
    there = extra_config(tmp_path / "there", sample_folder, extra)
    words = ("run", there, "--set", f"run.store={bucket}", "--on", "ray")
    in_its_own_process(*words, "--address", two_machines[0].address)
    assert submission(tmp_path / "there") == submission(tmp_path / "here")
    assert leftovers(tmp_path / "there") == []


@needs_ray
@pytest.mark.slow
def test_a_study_finds_the_same_on_a_cluster(sample_folder, tmp_path, two_machines):
    variants = [{"name": "base"}, {"name": "two", "set": ["finetune.epochs=2"]}]
    here = write_study(tmp_path / "here", sample_folder, variants)
    in_its_own_process("study", here)
    there = write_study(tmp_path / "there", sample_folder, variants)
    in_its_own_process("study", there, "--on", "ray", "--address", two_machines[0].address)
    one, other = (
        pd.read_csv(path.parent / "study" / "study.csv").drop(columns=["seconds", "seconds_here"])
        for path in (here, there)
    )
    pd.testing.assert_frame_equal(one, other, check_exact=True)
