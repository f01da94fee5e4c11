"""The one place where a setting is named, typed, bounded and explained.

The models below are the schema; `config.yaml` is written from them (`sanspec config > config.yaml`) and a test keeps
the two equal. Every model is frozen and closed: an unknown key is an error that names the run and the key.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sanspec.errors import SanspecError

NETWORKS = ("diff_coarse", "clip_coarse", "diff_fine", "clip_fine", "regressor")

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A closed, frozen block of settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


class Survey(Section):
    """Where the galaxies come from."""

    source: Literal["mock", "files"] = Field("mock", description="mock: the embedded simulated sky; files: the three paths below")
    name: str = Field("embedded sky", description="printed on figures and in the report")
    simulated: bool = Field(True, description="true: every figure, table and page says that its numbers are of a simulated sky")
    cubes: Path = Field(Path("results/raw/mock/sdss.npz"), description="image cubes in the layout of Pasquet et al. 2019 (.npz)")
    catalogue: Path = Field(Path("results/raw/mock/catalogue.csv"), description="the query's result as CasJobs writes it (.csv)")
    spectra: Path = Field(Path("results/raw/mock/spectra"), description="folder of spec-lite FITS files, PPPP/spec-PPPP-MMMMM-FFFF.fits")


class Templates(Section):
    """Stellar population models, fetched once from the package index."""

    package: str = Field("ppxf==8.2.6", description="source distribution that carries the E-MILES models")
    sha256: str = Field(
        "e51249d28f12eb41c6dce325a17c7bd554b546e73de930a59f7b29b02f35c8c3", pattern="^[0-9a-f]{64}$", description="its checksum"
    )


class Mock(Section):
    """The embedded sky."""

    galaxies: Count = Field(6800, description="galaxies to simulate")
    seed: int = Field(1, ge=0, description="galaxy i is drawn from the generator [seed, i], whatever the number of workers")


class Match(Section):
    """Join of catalogue, cubes and spectra."""

    z_min: float = Field(0.05, ge=0, description="least redshift, exclusive (Doorenbos et al. 2024, section 2.2)")
    z_max: float = Field(0.15, gt=0, description="greatest redshift, inclusive")
    block: Count = Field(256, description="cubes read at a time")

    @model_validator(mode="after")
    def _ordered(self):
        if self.z_min >= self.z_max:
            raise ValueError(f"z_min={self.z_min} must be below z_max={self.z_max}")
        return self


class Prepare(Section):
    """Spectra and images as the networks take them."""

    smoothing: Literal["constant_fwhm", "released_sigma"] = Field(
        "constant_fwhm",
        description="constant_fwhm: to `fwhm` with a kernel of target minus native variance; released_sigma: a Gaussian of `sigma` on the 1 A grid, as the released code",
    )
    fwhm: Positive = Field(5000 / 1500, description="target resolution, FWHM [Angstrom]: R = 1500 at 5000 A")
    sigma: Positive = Field(2.0, description="standard deviation of the released code's kernel [Angstrom]")
    broad_tolerance: Positive = Field(0.15, description="WARN bit lsf_broad where the native FWHM exceeds the target by more than this fraction")
    norm_min: Positive = Field(6900.0, description="normalisation window, first wavelength [Angstrom]")
    norm_max: Positive = Field(6950.0, description="normalisation window, last wavelength [Angstrom]")
    norm_frame: Literal["rest", "observed"] = Field("rest", description="frame of the window: rest as the paper, observed as its code")
    log_floor: Positive = Field(0.02, description="normalised flux at and below which a pixel of the log spectrum is masked")
    masked_tolerance: float = Field(0.10, gt=0, le=1, description="WARN bit masked_pixels above this fraction")
    test: float | int = Field(0.06, ge=0, description="test objects: a fraction of the sample, or a number (paper: 1506)")
    valid: float | int = Field(0.04, ge=0, description="validation objects: a fraction, or a number (paper: 512)")
    separation: float = Field(5.0, ge=0, description="no object of one split lies within this angle of another split's [arcsec]")
    covariance: Literal["all", "test", "none"] = Field("all", description="objects whose noise correlation between pixels is stored")
    chunk: Count = Field(256, description="objects processed at a time")


class Train(Section):
    """Settings of the four networks and of the regression baseline; filled in by nets."""


class Generate(Section):
    """From a test image to its predicted spectrum."""

    draws: Count = Field(8, description="coarse draws a galaxy")
    keep: Count = Field(3, description="coarse draws kept, the best by the coarse contrastive network (paper: 3)")
    fine_draws: Count = Field(5, description="fine draws for each kept coarse one (paper: 5)")
    seed: int = Field(0, ge=0, description="a draw depends on (seed, specobjid, draw index) alone")
    keep_draws: bool = Field(True, description="store every draw and score, not only the products")


class Redshift(Section):
    """Blind redshifts by a chi2 scan over eigenspectra."""

    z_min: float = Field(0.0, description="first trial redshift")
    z_max: float = Field(0.3, description="last trial redshift")
    components: Count = Field(10, description="eigenspectra")


class Quality(Section):
    """Pixel-by-pixel comparison."""

    wave_min: Positive = Field(4000.0, description="rest-frame range of the scores, first wavelength [Angstrom]")
    wave_max: Positive = Field(7000.0, description="last wavelength [Angstrom]")


class Figures(Section):
    """Pictures and their numbers."""

    dpi: int = Field(300, ge=50, le=1200, description="resolution of the PNG [dots per inch]")
    examples: int = Field(4, ge=1, le=8, description="galaxies in figure 2, spread evenly over the ranking in Delta-bar")
    bright: float = Field(0.25, gt=0, le=1, description="figure 1 takes its galaxies from this brightest fraction of the training split")
    stretch: Positive = Field(0.5, description="colour images: flux where the stretch turns from linear to logarithmic [nanomaggies a pixel]")
    softening: Positive = Field(8.0, description="colour images: softening Q of the asinh stretch (Lupton et al. 2004)")


class Check(Section):
    """What must hold before a run counts as done."""

    mse_over_mean: Positive = Field(1.0, description="largest mse_predicted / mse_mean_spectrum")
    mse_over_nearest: Positive = Field(1.0, description="largest mse_predicted / mse_nearest_image")


class Config(Section):
    """All settings of one run."""

    survey: Survey = Survey()
    templates: Templates = Templates()
    mock: Mock = Mock()
    match: Match = Match()
    prepare: Prepare = Prepare()
    train: Train = Train()
    generate: Generate = Generate()
    redshift: Redshift = Redshift()
    quality: Quality = Quality()
    figures: Figures = Figures()
    check: Check = Check()


def merge(base: dict, change: dict) -> dict:
    """`base` with `change` laid over it, mappings key by key, everything else replaced."""
    return base | {
        key: merge(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
        for key, value in change.items()
    }


def validate(settings: Any, run: str = "main") -> Config:
    """Settings checked, or one line that names the run, the key, what it holds and what is allowed."""
    if not isinstance(settings, dict):
        raise SanspecError(f"config: run {run!r}: expected a mapping of sections, got {settings!r}")
    try:
        return Config.model_validate(settings)
    except ValidationError as fault:
        first, count = fault.errors()[0], fault.error_count()
        key = ".".join(str(part) for part in first["loc"]) or "(top level)"
        more = f" (and {count - 1} more)" if count > 1 else ""
        hint = f"; known keys: {', '.join(_keys(first['loc'][:-1]))}" if first["type"] == "extra_forbidden" else ""
        raise SanspecError(f"config: run {run!r}: key {key!r}: {first['msg']}, got {first['input']!r}{hint}{more}") from None


def _keys(path: tuple) -> list[str]:
    """Names allowed at `path` of the settings tree."""
    model: Any = Config
    for part in path:
        field = getattr(model, "model_fields", {}).get(str(part))
        model = field.annotation if field else None
    return sorted(getattr(model, "model_fields", {}))


def resolve(settings: dict) -> dict[str, Config]:
    """Every run by name: `main`, then one per entry of `runs`, each its overrides laid over main and checked."""
    settings = dict(settings or {})
    overrides = settings.pop("runs", None) or {}
    if not isinstance(overrides, dict):
        raise SanspecError(f"config: key 'runs': expected a mapping of run names to overrides, got {overrides!r}")
    runs = {"main": validate(settings)}
    for name, change in overrides.items():
        if not str(name).replace("_", "").isalnum() or name in ("main", "raw"):
            raise SanspecError(f"config: key 'runs': bad run name {name!r}; letters, digits and _ only, not 'main' or 'raw'")
        runs[str(name)] = validate(merge(settings, change or {}), name)
    return runs


def load(path: Path) -> Config:
    """Settings of one run from a YAML file (with no `runs` in it), checked."""
    try:
        settings = yaml.safe_load(Path(path).read_text())
    except OSError as fault:
        raise SanspecError(f"config: cannot read {path}: {fault.strerror}; give --config FILE") from None
    except yaml.YAMLError as fault:
        raise SanspecError(f"config: {path} is not YAML: {fault}") from None
    settings = dict(settings or {}) if isinstance(settings, dict) or settings is None else settings
    if isinstance(settings, dict):
        settings.pop("runs", None)
    return validate(settings)


def dump(config: Config) -> str:
    """Settings as plain YAML, for `results/<run>/config.yaml`."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)


def document() -> str:
    """The default `config.yaml`: every setting with its value, allowed values and meaning."""
    head = (
        "# sanspec: every setting of a run, with its default. Written by `sanspec config`; a test keeps it equal to\n"
        "# src/sanspec/config.py. Change values here, lay an overlay over them (--configfile config/paper.yaml), or add\n"
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
        text = yaml.safe_dump(_plain(value), default_flow_style=True, width=1000).strip().removesuffix("...").strip()
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
