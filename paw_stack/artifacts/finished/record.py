"""A finished run, read back from its folder alone, wherever that lies now; and its report."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paw_stack.artifacts.files import read_array, read_csv, write_text
from paw_stack.artifacts.finished.pictures import read_pictures
from paw_stack.artifacts.finished.trust import no_run, read_blend, read_config, require_plain
from paw_stack.data.types import RunRecord, StepRecord, VectorSample
from paw_stack.errors import ArtifactError, offenders
from paw_stack.regular import read_json, shown

BLEND_KEYS = (
    "weights",
    "intercept",
    "in_sample_rmse",
    "interval",
    "scores",
    "squash",
    "shift",
    "nested",
    "comparisons",
    "diversity",
    "optimistic",
    "constant_rmse",
    "label_noise",
)
NEEDED = ("config.yaml", "labelled.csv", "folds.csv", "check/photos.csv", "blend/blend.json")
PHOTO_TEXTS = (
    "set",
    "Id",
    "file",
    "digest",
    "format",
    "mode",
    "animated",
    "profile",
    "wrong_extension",
    "reason",
)
PAIR_TEXTS = ("set_a", "Id_a", "score_a", "set_b", "Id_b", "score_b")


def read_record(root: Path) -> RunRecord:
    """All that a report tells of the run in `root`.

    Raises:
        ArtifactError: files that are missing or damaged, each with what to run.
    """
    require_plain(root)
    missing = [name for name in NEEDED if not (root / name).is_file()]
    if missing:
        raise ArtifactError(
            f"{root}: no {', '.join(missing)}; a report needs a run that was blended:"
            " paw-stack run CONFIG"
        )
    try:
        return _record(root)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise no_run(root, error) from None


def save_report(root: Path, html: str) -> Path:
    write_text(root / "report.html", html)
    return root / "report.html"


def _record(root: Path) -> RunRecord:
    config = read_config(root / "config.yaml").model_dump(mode="json")
    blend = _blend(root / "blend" / "blend.json")
    labelled = read_csv(root / "labelled.csv")
    labelled["fold"] = read_csv(root / "folds.csv")["fold"].astype(int)
    names = list(blend["weights"])
    backbones = config["backbones"]
    photos = read_csv(root / "check" / "photos.csv", PHOTO_TEXTS)
    steps = [*_network_steps(root, backbones), *_head_steps(root, names)]
    return RunRecord(
        name=shown(root.resolve().name),
        config=config,
        labelled=labelled,
        oof=_predictions(root, names, "").reindex(labelled["Id"]).reset_index(drop=True),
        test=_predictions(root, names, ".test"),
        blend=blend,
        photos=photos,
        picture=read_pictures(root / "pictures", photos),
        pairs=_pairs(root / "check" / "duplicates.csv"),
        steps=steps,
        histories=_histories(root, backbones),
        sample=_sample(root, backbones, labelled),
    )


def _blend(path: Path) -> dict[str, Any]:
    facts = read_blend(path)
    lacking = [key for key in BLEND_KEYS if key not in facts]
    if lacking or "pruned" not in facts["diversity"]:
        raise ValueError(f"{path.name} lacks {offenders(lacking or ['diversity.pruned'])}")
    return facts


def _pairs(path: Path) -> pd.DataFrame:
    """A test photo has no score."""
    table = read_csv(path, PAIR_TEXTS)
    scores = {name: pd.to_numeric(table[name]) for name in ("score_a", "score_b")}
    return table.assign(**scores)


def _predictions(root: Path, names: list[str], kind: str) -> pd.DataFrame:
    """Id -> the predictions of every candidate, and of the blend."""
    files = {name: root / "predictions" / f"{name}{kind}.csv" for name in names}
    files["blend"] = root / "blend" / f"blend{kind}.csv"
    columns = {name: read_csv(file).set_index("Id")["prediction"] for name, file in files.items()}
    return pd.DataFrame(columns)


def _network_steps(root: Path, backbones: list[dict[str, Any]]) -> list[StepRecord]:
    found = []
    for backbone in backbones:
        for stage, folder in (("finetune", "finetune"), ("embed", "embeddings")):
            for done in sorted((root / folder / backbone["name"]).glob("*/done.json")):
                name = _place(backbone["name"], done.parent.name)
                found.append(StepRecord(stage, name, read_json(done)))
    return found


def _head_steps(root: Path, names: list[str]) -> list[StepRecord]:
    done = {name: root / "predictions" / f"{name}.done.json" for name in names}
    return [StepRecord("fit", n, read_json(file)) for n, file in done.items() if file.is_file()]


def _histories(root: Path, backbones: list[dict[str, Any]]) -> dict[str, pd.DataFrame]:
    return {
        _place(backbone["name"], file.parent.name): read_csv(file)
        for backbone in backbones
        for file in sorted((root / "finetune" / backbone["name"]).glob("fold*/history.csv"))
    }


def _place(backbone: str, folder: str) -> str:
    return backbone if folder == "all" else f"{backbone} fold {folder.removeprefix('fold')}"


def _sample(
    root: Path, backbones: list[dict[str, Any]], labelled: pd.DataFrame
) -> VectorSample | None:
    """The first embedding there is: of all rows, or of fold 0's held-out rows."""
    for backbone in backbones:
        frozen = backbone["frozen"]
        folder = root / "embeddings" / backbone["name"] / ("all" if frozen else "fold0")
        file = folder / f"{backbone['layers'][0]}.npy"
        if (folder / "done.json").is_file() and file.is_file():
            rows = np.arange(len(labelled)) if frozen else np.flatnonzero(labelled["fold"] == 0)
            stored = labelled_rows(folder, backbone["layers"][0], labelled["Id"])
            if stored is not None:
                vectors = np.asarray(stored[rows], dtype=np.float32)
                return VectorSample(_place(backbone["name"], folder.name), vectors, rows)
    return None


def labelled_rows(folder: Path, layer: str, ids: pd.Series) -> np.ndarray | None:
    """Embeddings (n, d) of the labelled rows `ids`, mapped; None where `folder` has other rows.

    They stand first. An id alone would not find them: a test photo may have the same.
    """
    found = read_csv(folder / "ids.csv")["Id"]
    if found[: len(ids)].tolist() != ids.tolist():
        return None
    return read_array(folder / f"{layer}.npy", len(found))[: len(ids)]
