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
    blocks = [_block(name, field, 0) for name, field in Config.model_fields.items()]
    tail = (
        "\n# Named runs: each is main with a few settings changed; its products stand under results/<name>/.\n"
        "# runs:\n#   observed_norm:\n#     prepare: {norm_frame: observed}\nruns: {}\n"
    )
    return head + "".join(blocks) + tail


def _block(name: str, field: Any, depth: int) -> str:
    """One section as commented YAML, recursively."""
    pad, model = "  " * depth, field.annotation
    lines = [f"\n{pad}{name}:  # {(model.__doc__ or '').splitlines()[0]}\n"]
    if not model.model_fields:
        return f"\n{pad}{name}: {{}}  # {(model.__doc__ or '').splitlines()[0]}\n"
    defaults = field.default
    for key, sub in model.model_fields.items():
        value = getattr(defaults, key)
        if isinstance(value, Section):
            lines.append(_block(key, model_field(sub, value), depth + 1).lstrip("\n"))
            continue
        text = (
            yaml.safe_dump(_plain(value), default_flow_style=True, width=1000)
            .strip()
            .removesuffix("...")
            .strip()
        )
        lines.append(f"{pad}  {key}: {text}  # {sub.description}\n")
    return "".join(lines)


def model_field(field: Any, value: Section) -> Any:
    """A field whose default is `value` (a section nested in another section's default)."""
    copy = field._copy()
    copy.default = value
    copy.annotation = type(value)
    return copy


def _plain(value: Any) -> Any:
    """A value as YAML holds it."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return list(value)
    return value
