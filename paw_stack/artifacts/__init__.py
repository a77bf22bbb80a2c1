"""Paths and formats under `artifacts/<run>/`; the only module that knows them.

    config.yaml                              the config as the run was made with it
    labelled.csv                             Id, target, weight of the rows that take part
    folds.csv                                Id, fold, group
    check/                                   photos.csv, duplicates.csv (pairs), extra.csv,
                                             metadata.npy (columns of the rows of labelled.csv)
    augment.png                              contact sheet of augmented photos
    finetune/<backbone>/fold<k>/             weights.safetensors, history.csv, history.png,
                                             TensorBoard events, held_out.csv, test.csv; while it
                                             trains, state.safetensors
    teacher/<backbone>/fold<k>/              the same of a teacher, before pseudo-labels
    pseudo/<backbone>/fold<k>/               labels.csv: Id, prediction, label, weight
    pretrain/<backbone>/                     weights.safetensors, history.csv
    autoencoder/                             weights.safetensors, history.csv, samples.png
    reconstructions/                         all.npy (labelled, test, extra photos), known.npy
                                             (labelled and test ones alone)
    gan/fold<k>/                             photos/*.png, history.csv, samples.png
    embeddings/<backbone>/all or fold<k>/    ids.csv, <layer>.npy (labelled rows, then test rows)
    predictions/<candidate>.csv, .test.csv   Id, fold, prediction; Id, prediction
    heads/<candidate>/                       fold<k> or all: .safetensors, and .txt for LightGBM;
                                             search.csv of a grid or a selection of layers
    scratch/                                 while a selection of layers runs
    blend/                                   blend.json, blend.csv, blend.test.csv, the config that
                                             the blend was made with, done.json as a step has it;
                                             surroundings.safetensors: what photos are compared with
    pictures/                                photos.safetensors: a small WebP of each photo
    submission.csv, report.html
    suspicious.csv                           Id, score, predicted, expected_error, surprise of the
                                             labelled rows, the most surprising first
    leaderboard.json                         scores that a leaderboard gave
    photos/                                  links to photos that a notebook named

Every file is written by `paw_stack.atomic`. A step's `done.json` comes last, and holds
the fingerprint of all that the step depends on. Nothing here is ever unpickled.
"""

from paw_stack.artifacts.external_predictions import (
    CandidateFile,
    candidate_files,
    read_candidates,
)
from paw_stack.artifacts.files import (
    read_csv,
    read_weights,
    write_array,
    write_csv,
    write_picture,
    write_weights,
)
from paw_stack.artifacts.predictions import write_blend, write_submission
from paw_stack.artifacts.run_folder import RunFolder
from paw_stack.artifacts.step import Stage, Step, Steps

__all__ = [
    "CandidateFile",
    "RunFolder",
    "Stage",
    "Step",
    "Steps",
    "candidate_files",
    "read_candidates",
    "read_csv",
    "read_weights",
    "write_array",
    "write_blend",
    "write_csv",
    "write_picture",
    "write_submission",
    "write_weights",
]
