"""The section of a config that says what a step needs of a cluster's machines."""

from pydantic import Field

from paw_stack.config.sections import Section


class ResourcesSection(Section):
    """Share of its machine that one step holds while it runs."""

    cpus: float = Field(1, gt=0, description="cores")
    gpus: float = Field(0, ge=0, description="GPUs; 0.25 lets four steps share one")
    memory_gb: float | None = Field(None, gt=0, description="memory, gigabytes; null: not counted")


class ClusterSection(Section):
    """Settings of `run --on ray` and `embed --on ray`."""

    finetune: ResourcesSection = Field(
        ResourcesSection(), description="for fine-tuning a backbone on one fold"
    )
    embed: ResourcesSection = Field(
        ResourcesSection(), description="for embedding with one backbone, or one shard"
    )
    fit_heads: ResourcesSection = Field(ResourcesSection(), description="for fitting one head")
    retries: int = Field(3, ge=0, description="how often a step of a lost machine is begun anew")
