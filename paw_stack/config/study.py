"""A study: variants of a config that are run alike and compared with the first.

    name: extra
    root: artifacts/extra-study
    config: ../extra.yaml
    variants:
      - {name: none}
      - {name: matched, set: [extra.pseudo.policy=matched]}
      - {name: other, config: ../demo.yaml}

Paths of configs are relative to the study's own file, all others to the working directory.
"""

from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, model_validator

from paw_stack.config.loading import Config, load_config
from paw_stack.config.sections import Name, Section
from paw_stack.errors import ConfigError
from paw_stack.regular import read_text


class VariantSection(Section):
    name: Name = Field(description="of the variant, its run and its folder")
    config: Path | None = Field(None, description="its config; null: the study's")
    set: list[str] = Field([], description="keys to replace in it, as key=value")


class StudySection(Section):
    root: Path = Field(description="folder of the variants' runs, which share what they can")
    config: Path | None = Field(None, description="config of variants that name none")
    set: list[str] = Field([], description="keys to replace in every variant, as key=value")
    variants: list[VariantSection] = Field(min_length=2, description="the first is the base")

    @model_validator(mode="after")
    def _variants_can_be_run(self) -> "StudySection":
        names = [variant.name for variant in self.variants]
        if len(set(names)) < len(names):
            raise ValueError(f"variants: names {names} must differ from each other")
        bare = [variant.name for variant in self.variants if not (variant.config or self.config)]
        if bare:
            raise ValueError(f"variants: {bare} name no config, and the study has none")
        return self


def load_study(path: Path, overrides: list[str] | None = None) -> tuple[Path, dict[str, Config]]:
    """The folder of the study, and each variant's config by name, the base first.

    Args:
        overrides: `key=value` for every variant, after its own.

    Raises:
        ConfigError: with all problems of all variants.
    """
    study = _read(path)
    found: dict[str, Config] = {}
    problems: list[str] = []
    for variant in study.variants:
        own = variant.config or study.config
        assert own is not None
        place = [f"run.root={study.root}", f"run.reuse={study.root}", f"run.name={variant.name}"]
        changes = [*place, *study.set, *variant.set, *(overrides or [])]
        try:
            found[variant.name] = load_config(path.parent / own, changes)
        except ConfigError as error:
            problems += [f"variant {variant.name}: {problem}" for problem in error.problems]
    if problems:
        raise ConfigError(problems)
    return study.root, found


def _read(path: Path) -> StudySection:
    try:
        raw: Any = yaml.safe_load(read_text(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); give a YAML file") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is not valid YAML: {' '.join(str(error).split())}") from None
    try:
        return StudySection.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(
            f"{path}: {'.'.join(map(str, e['loc'])) or 'study'}: {e['msg']}" for e in error.errors()
        ) from None
