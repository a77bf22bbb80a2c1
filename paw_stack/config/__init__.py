"""The typed config of a run: sections, and how a YAML file becomes one."""

from paw_stack.config.cluster import ClusterSection, ResourcesSection
from paw_stack.config.heads import (
    GbmSection,
    GridSection,
    HeadSection,
    HeadsSection,
    KernelRidgeSection,
    KnnSection,
    NystroemSection,
    RidgeSection,
    SelectionSection,
    SvrSection,
)
from paw_stack.config.loading import Config, digest, load_config, make_config
from paw_stack.config.sections import (
    BackboneSection,
    BlendSection,
    ComputeSection,
    DataSection,
    EmbedSection,
    FoldsSection,
    Layer,
    RunSection,
    Section,
)
from paw_stack.config.training import (
    AuxiliarySection,
    FinetuneSection,
    LossSection,
    RegressorSection,
    ScheduleSection,
    TtaSection,
)

__all__ = [
    "AuxiliarySection",
    "BackboneSection",
    "BlendSection",
    "ClusterSection",
    "ComputeSection",
    "Config",
    "DataSection",
    "EmbedSection",
    "FinetuneSection",
    "FoldsSection",
    "GbmSection",
    "GridSection",
    "HeadSection",
    "HeadsSection",
    "KernelRidgeSection",
    "KnnSection",
    "Layer",
    "LossSection",
    "NystroemSection",
    "RegressorSection",
    "ResourcesSection",
    "RidgeSection",
    "RunSection",
    "ScheduleSection",
    "Section",
    "SelectionSection",
    "SvrSection",
    "TtaSection",
    "digest",
    "load_config",
    "make_config",
]
