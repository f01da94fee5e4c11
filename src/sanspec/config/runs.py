"""All settings of a run: named runs resolved, files read and written, faults in one line."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError, model_validator

from sanspec.config.acquisition import Acquire, Survey
from sanspec.config.base import Section, merge
from sanspec.config.measurements import Agn, Classify, Lick, Lines, Measure, Quality, Redshift
from sanspec.config.networks import Generate, Train
from sanspec.config.products import Check, Figures
from sanspec.config.sample import Match, Mock, Prepare
from sanspec.config.stellar import Stellar, Templates
from sanspec.errors import SanspecError


class Config(Section):
    """All settings of one run."""

    survey: Survey = Survey()
    templates: Templates = Templates()
    mock: Mock = Mock()
    acquire: Acquire = Acquire()
    match: Match = Match()
    prepare: Prepare = Prepare()
    train: Train = Train()
    generate: Generate = Generate()
    redshift: Redshift = Redshift()
    quality: Quality = Quality()
    stellar: Stellar = Stellar()
    lick: Lick = Lick()
    lines: Lines = Lines()
    classify: Classify = Classify()
    agn: Agn = Agn()
    figures: Figures = Figures()
    check: Check = Check()
    measure: Measure = Measure()

    @model_validator(mode="after")
    def _acquired_window(self):
        asked, used = self.acquire, self.match
        if self.survey.source == "sdss" and not asked.z_min <= used.z_min < used.z_max <= asked.z_max:
            raise SanspecError(
                f"config: match.z_min-z_max ({used.z_min}-{used.z_max}) reaches beyond what is asked of SDSS, "
                f"acquire.z_min-z_max ({asked.z_min}-{asked.z_max}): narrow the first or widen the second"
            )
        return self


def validate(settings: Any, run: str = "main") -> Config:
    """The settings, checked. Raises SanspecError: one line with the run, the key, its value and what is allowed."""
    if not isinstance(settings, dict):
        raise SanspecError(f"config: run {run!r}: expected a mapping of sections, got {settings!r}")
    try:
        return Config.model_validate(settings)
    except ValidationError as fault:
        first, count = fault.errors()[0], fault.error_count()
        key = ".".join(str(part) for part in first["loc"]) or "(top level)"
        more = f" (and {count - 1} more)" if count > 1 else ""
        unknown = first["type"] == "extra_forbidden"
        hint = f"; known keys: {', '.join(_keys(first['loc'][:-1]))}" if unknown else ""
        text = first["msg"].removeprefix("Value error, ")
        held = "" if isinstance(first["input"], dict) else f", got {first['input']!r}"
        raise SanspecError(f"config: run {run!r}: key {key!r}: {text}{held}{hint}{more}") from None


def _keys(path: tuple) -> list[str]:
    """The keys that are allowed at `path` of the settings tree."""
    model: Any = Config
    for part in path:
        field = getattr(model, "model_fields", {}).get(str(part))
        model = field.annotation if field else None
    return sorted(getattr(model, "model_fields", {}))


def resolve(settings: dict) -> dict[str, Config]:
    """Every run by name, checked: `main`, then each entry of `runs` with its overrides laid over main."""
    if not isinstance(settings or {}, dict):
        raise SanspecError(f"config: expected a mapping of sections, got {settings!r}")
    settings = dict(settings or {})
    overrides = settings.pop("runs", None) or {}
    if not isinstance(overrides, dict):
        raise SanspecError(f"config: key 'runs': expected overrides by run name, got {overrides!r}")
    runs = {"main": validate(settings)}
    for name, change in overrides.items():
        if not str(name).replace("_", "").isalnum() or name in ("main", "raw"):
            raise SanspecError(f"config: bad run name {name!r}; letters, digits and _ only, not main or raw")
        if not isinstance(change or {}, dict):
            raise SanspecError(f"config: run {name!r}: expected a mapping of sections, got {change!r}")
        runs[str(name)] = validate(merge(settings, change or {}), name)
    return runs


def load(path: Path) -> Config:
    """The settings of one run from a YAML file, checked; its named `runs` are left out."""
    try:
        settings = yaml.safe_load(Path(path).read_text())
    except OSError as fault:
        raise SanspecError(f"config: cannot read {path}: {fault.strerror}; give --config FILE") from None
    except yaml.YAMLError as fault:
        raise SanspecError(f"config: {path} is not YAML: {fault}") from None
    if isinstance(settings, dict):
        settings.pop("runs", None)
    return validate({} if settings is None else settings)


def dump(config: Config) -> str:
    """Settings as plain YAML, for `results/<run>/config.yaml`."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)


HEAD = """\
# sanspec: every setting of a run, with its default. Written by `sanspec config`; a test keeps it equal to
# src/sanspec/config. Change values here, lay an overlay over them (--configfile config/paper.yaml), or add
# named runs at the end.
"""
TAIL = """
# Named runs: each is main with a few settings changed; its products are under results/<name>/.
# runs:
#   observed_norm:
#     prepare: {norm_frame: observed}
runs: {}
"""


def document() -> str:
    """The default `config.yaml`: every setting with its value and its meaning, written from the models."""
    blocks = [_block(name, section, Config.model_fields[name].description) for name, section in Config()]
    return "\n".join([HEAD, *blocks]) + TAIL


def _block(
    name: str, section: Section, text: str | None, depth: int = 0, inherited: dict | None = None
) -> str:
    """One section as commented YAML, recursively, without the settings that equal the inherited ones."""
    pad, lines, values = "  " * depth, [], section.model_dump(mode="json")
    for key, field in type(section).model_fields.items():
        value = getattr(section, key)
        if isinstance(value, Section):
            above = dict(getattr(section, section.inherits.get(key, ""), ()))
            lines.append(_block(key, value, field.description, depth + 1, above))
        elif key not in (inherited or {}) or inherited[key] != value:
            plain = yaml.safe_dump(values[key], default_flow_style=True, width=1000)
            plain = plain.strip().removesuffix("...").strip()
            lines.append(f"{pad}  {key}: {plain}  # {field.description}\n")
    text = text or (section.__doc__ or "").splitlines()[0]
    return "".join([f"{pad}{name}:{'' if lines else ' {}'}  # {text}\n", *lines])
