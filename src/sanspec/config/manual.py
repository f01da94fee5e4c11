"""The documented default `config.yaml`, written from the models."""

from pathlib import Path
from typing import Any

import yaml

from sanspec.config.base import Section
from sanspec.config.runs import Config


def document() -> str:
    """The default `config.yaml`: every setting with its value, allowed values and meaning."""
    head = (
        "# sanspec: every setting of a run, with its default. Written by `sanspec config`; a test keeps it equal to\n"
        "# src/sanspec/config. Change values here, lay an overlay over them (--configfile config/paper.yaml), or add\n"
        "# named runs at the end.\n"
    )
    blocks = [
        "\n" + _block(name, section, Config.model_fields[name].description) for name, section in Config()
    ]
    tail = (
        "\n# Named runs: each is main with a few settings changed; its products stand under results/<name>/.\n"
        "# runs:\n#   observed_norm:\n#     prepare: {norm_frame: observed}\nruns: {}\n"
    )
    return head + "".join(blocks) + tail


def _block(
    name: str, section: Section, text: str | None, depth: int = 0, inherited: dict | None = None
) -> str:
    """One section as commented YAML, recursively, without the settings that equal the inherited ones."""
    pad, lines = "  " * depth, []
    for key, field in type(section).model_fields.items():
        value = getattr(section, key)
        if isinstance(value, Section):
            above = dict(getattr(section, section.inherits.get(key, ""), ()))
            lines.append(_block(key, value, field.description, depth + 1, above))
        elif key not in (inherited or {}) or inherited[key] != value:
            plain = yaml.safe_dump(_plain(value), default_flow_style=True, width=1000)
            lines.append(
                f"{pad}  {key}: {plain.strip().removesuffix('...').strip()}  # {field.description}\n"
            )
    text = text or (section.__doc__ or "").splitlines()[0]
    return "".join([f"{pad}{name}:{'' if lines else ' {}'}  # {text}\n", *lines])


def _plain(value: Any) -> Any:
    """A value as YAML holds it."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return list(value)
    return value
