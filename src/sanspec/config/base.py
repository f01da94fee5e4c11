"""What all settings share: closed, frozen sections and common types."""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]


class Section(BaseModel):
    """A closed, frozen block of settings; the string below each is its description."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)
    inherits: ClassVar[dict[str, str]] = {}  # subsections, each with the one whose settings it takes over

    @model_validator(mode="after")
    def _ordered(self):
        for name, low in self:
            top = name.removesuffix("_min") + "_max"
            if hasattr(self, top) and low >= getattr(self, top):
                raise ValueError(f"{name}={low} must be below {top}={getattr(self, top)}")
        return self


class Nest(Section):
    """A section of sections. A subsection given in part keeps the defaults of its place, not those of its class."""

    @model_validator(mode="before")
    @classmethod
    def _over_defaults(cls, settings: Any) -> Any:
        if not isinstance(settings, dict):
            return settings
        places = {name: field.default for name, field in cls.model_fields.items() if name in settings}
        filled = {
            name: merge(default.model_dump(), settings[name])
            for name, default in places.items()
            if isinstance(default, Section) and isinstance(settings[name], dict)
        }
        return settings | filled


def merge(base: dict, change: dict) -> dict:
    """`base` with `change` laid over it, mappings key by key, everything else replaced."""
    return base | {
        key: merge(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
        for key, value in change.items()
    }
