"""The one place where a setting is named, typed, bounded and explained.

The models below are the schema; `config.yaml` is written from them (`sanspec config > config.yaml`) and a test keeps
the two equal. Every model is frozen and closed: an unknown key is an error that names the run and the key.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from sanspec.errors import SanspecError

NETWORKS = ("diff_coarse", "clip_coarse", "diff_fine", "clip_fine", "regressor")

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A closed, frozen block of settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


class Survey(Section):
    """Where the galaxies come from."""

    source: Literal["mock", "files", "sdss"] = Field(
        "mock",
        description="mock: the embedded simulated sky; files: the three paths below; sdss: fetched into them",
    )
    name: str = Field("embedded sky", description="printed on figures and in the report")
    simulated: bool = Field(
        True, description="true: every figure, table and page says that its numbers are of a simulated sky"
    )
    cubes: Path = Field(
        Path("results/raw/mock/sdss.npz"),
        description="image cubes in the layout of Pasquet et al. 2019 (.npz)",
    )
    catalogue: Path = Field(
        Path("results/raw/mock/catalogue.csv"), description="the query's result as CasJobs writes it (.csv)"
    )
    spectra: Path = Field(
        Path("results/raw/mock/spectra"),
        description="folder of spec-lite FITS files, PPPP/spec-PPPP-MMMMM-FFFF.fits",
    )


class Templates(Section):
    """Stellar population models, fetched once from the package index."""

    package: str = Field("ppxf==8.2.6", description="source distribution that carries the E-MILES models")
    sha256: str = Field(
        "e51249d28f12eb41c6dce325a17c7bd554b546e73de930a59f7b29b02f35c8c3",
        pattern="^[0-9a-f]{64}$",
        description="its checksum",
    )
    file: Path | None = Field(
        None, description="the source distribution where it was downloaded by hand; null: fetch it"
    )
    wave_min: Positive = Field(1680.0, description="first wavelength kept [Angstrom, air]")
    wave_max: Positive = Field(12000.0, description="last wavelength kept [Angstrom, air]")


class TemplatesM11(Section):
    """M11-MILES populations for FIREFLY, fetched once from the package index."""

    package: str = Field(
        "sdss-mangadap==4.5.0", description="wheel that carries the M11-MILES models (Salpeter)"
    )
    sha256: str = Field(
        "b8478bb24c32fe736fa6a2881805458719281862313838f8b032f3c10527ff34",
        pattern="^[0-9a-f]{64}$",
        description="its checksum",
    )
    file: Path | None = Field(None, description="the wheel where it was downloaded by hand; null: fetch it")


class Mock(Section):
    """The embedded sky."""

    galaxies: Count = Field(6800, description="galaxies to simulate")
    seed: int = Field(
        1, ge=0, description="galaxy i is drawn from the generator [seed, i], whatever the number of workers"
    )
    z_min: float = Field(
        0.0495, ge=0.045, description="least redshift drawn: a little outside the survey's window on purpose"
    )
    z_max: float = Field(0.1505, le=0.155, description="greatest redshift drawn")
    pairs: float = Field(
        0.004, ge=0, le=0.5, description="fraction of the galaxies that start a pair closer than 5 arcsec"
    )
    defects: float = Field(
        0.0125, ge=0, le=1, description="fraction of the galaxies with a deliberate defect, each kind in turn"
    )

    @model_validator(mode="after")
    def _ordered(self):
        if self.z_min >= self.z_max:
            raise ValueError(f"z_min={self.z_min} must be below z_max={self.z_max}")
        return self


class Match(Section):
    """Join of catalogue, cubes and spectra."""

    z_min: float = Field(
        0.05, ge=0, description="least redshift, exclusive (Doorenbos et al. 2024, section 2.2)"
    )
    z_max: float = Field(0.15, gt=0, description="greatest redshift, inclusive")
    tolerate: tuple[Literal["zwarning", "bad_plate", "not_galaxy", "not_sdss", "sky_fibre"], ...] = Field(
        ("bad_plate",),
        description="what the spectrum's header may say against an object that is kept, flagged",
    )

    @model_validator(mode="after")
    def _ordered(self):
        if self.z_min >= self.z_max:
            raise ValueError(f"z_min={self.z_min} must be below z_max={self.z_max}")
        return self


PixelBit = Literal[
    "NEARBADPIXEL",
    "LOWFLAT",
    "FULLREJECT",
    "PARTIALREJECT",
    "SCATTEREDLIGHT",
    "CROSSTALK",
    "NOSKY",
    "BRIGHTSKY",
    "NODATA",
    "COMBINEREJ",
    "BADFLUXFACTOR",
    "BADSKYCHI",
    "REDMONSTER",
]


class Prepare(Section):
    """Spectra and images as the networks take them."""

    smoothing: Literal["constant_fwhm", "released_sigma"] = Field(
        "constant_fwhm",
        description="constant_fwhm: to `fwhm`, by a kernel of target minus native minus rebinning variance; released_sigma: by a Gaussian of `sigma` on the 1 A grid, as the released code",
    )
    fwhm: Positive = Field(5000 / 1500, description="target resolution, FWHM [Angstrom]: R = 1500 at 5000 A")
    sigma: Positive = Field(2.0, description="standard deviation of the released code's kernel [Angstrom]")
    broad_tolerance: Positive = Field(
        0.15,
        description="WARN bit lsf_broad where the native FWHM exceeds the target by more than this fraction",
    )
    norm_min: Positive = Field(6900.0, description="normalisation window, first wavelength [Angstrom]")
    norm_max: Positive = Field(6950.0, description="normalisation window, last wavelength [Angstrom]")
    norm_frame: Literal["rest", "observed"] = Field(
        "rest", description="frame of the window: rest as the paper, observed as its code"
    )
    log_floor: Positive = Field(
        0.02, description="normalised flux at and below which a pixel of the log spectrum is masked"
    )
    mask_bits: tuple[PixelBit, ...] = Field(
        ("FULLREJECT", "NOSKY", "BRIGHTSKY", "NODATA"),
        description="bits of and_mask whose pixels are masked, besides those of ivar 0",
    )
    masked_tolerance: float = Field(
        0.10, gt=0, le=1, description="WARN bit masked_pixels above this fraction"
    )
    test: float | int = Field(
        0.06, ge=0, description="test objects: a fraction of the sample, or a number (paper: 1506)"
    )
    valid: float | int = Field(
        0.04, ge=0, description="validation objects: a fraction, or a number (paper: 512)"
    )
    separation: float = Field(
        5.0, ge=0, description="no object of one split lies within this angle of another split's [arcsec]"
    )
    covariance: Literal["all", "test", "none"] = Field(
        "all", description="objects whose noise correlation between pixels is stored"
    )
    chunk: Count = Field(256, description="objects processed at a time")

    @model_validator(mode="after")
    def _sensible(self):
        if self.norm_min >= self.norm_max:
            raise ValueError(f"norm_min={self.norm_min} must be below norm_max={self.norm_max}")
        for name, size in (("test", self.test), ("valid", self.valid)):
            if isinstance(size, float) and size >= 1:
                raise ValueError(f"{name}={size} must be a fraction below 1 or a whole number of objects")
        return self


class Nest(Section):
    """A section of sections. One given in part keeps the defaults of its place, not those of its class."""

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


class Network(Section):
    """What every network's training has in common."""

    steps: Count = Field(1000, description="optimiser steps")
    batch: Count = Field(128, description="galaxies a step; the whole training split where it is smaller")
    rate: Positive = Field(1e-3, description="peak learning rate")
    warmup: int = Field(50, ge=0, description="steps over which the rate rises from 0")
    schedule: Literal["cosine", "constant"] = Field(
        "cosine", description="the rate after the warm-up: cosine falls to 0 at the last step"
    )
    optimiser: Literal["adamw", "adam"] = Field(
        "adamw", description="adamw: decoupled weight decay; adam: decay as an L2 penalty"
    )
    weight_decay: float = Field(0.01, ge=0, description="weight decay")
    beta2: float = Field(0.99, gt=0, lt=1, description="Adam's decay of the squared gradient")
    clip: Positive = Field(1.0, description="largest norm of the gradient")
    ema: float = Field(
        0.995,
        ge=0,
        lt=1,
        description="decay of the moving average of the weights, warmed up as (step + 1) / (step + 10)",
    )
    patience: int = Field(
        0, ge=0, description="stop after this many validations without a better metric; 0: never"
    )
    encoder: Literal["small", "resnet18", "resnet50"] = Field("small", description="image encoder")
    encoder_widths: tuple[Count, ...] = Field(
        (32, 64, 96), description="channels of the small encoder's stages, each half as fine"
    )
    apertures: tuple[Positive, ...] = Field(
        (2.0, 3.5, 5.5, 8.0, 12.0, 18.0),
        description="radii [pixel] of circular apertures whose fluxes the encoder also sees; empty: pixels alone",
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout inside residual blocks")


class Diffusion(Network):
    """A conditional diffusion network."""

    prediction: Literal["edm", "epsilon"] = Field(
        "edm",
        description="edm: preconditioning of Karras et al. 2022; epsilon: the noise itself (Ho et al. 2020)",
    )
    noise: Literal["lognormal", "cosine"] = Field(
        "lognormal",
        description="noise levels met in training: lognormal, or the steps of a cosine schedule (Nichol & Dhariwal 2021)",
    )
    noise_mean: float = Field(
        0.0, description="lognormal: mean of ln(noise / standard deviation of the data)"
    )
    noise_std: Positive = Field(1.6, description="lognormal: its standard deviation")
    cosine_steps: Count = Field(250, description="cosine: number of steps")
    architecture: Literal["unet", "paper"] = Field(
        "unet",
        description="unet: patches, scale-and-shift by noise level and image vector; paper: the U-Net of Doorenbos et al. 2024",
    )
    widths: tuple[Count, ...] = Field(
        (64, 96, 128), description="channels of the U-Net's levels, each half as fine"
    )
    patch: Count = Field(4, description="neighbouring pixels folded into channels (unet)")
    attention: tuple[int, ...] = Field(
        (1, 2), description="levels with attention to the image's tokens, 0 the finest"
    )


class Coarse(Diffusion):
    """Coarse spectrum from the image."""

    sketch: int = Field(
        128,
        ge=0,
        description="hidden units of a sketch: the spectrum expected of the image, learnt along and shown to the denoiser; 0: none",
    )


class Fine(Diffusion):
    """Fine spectrum from the image and a coarse spectrum."""

    sketch: int = Field(0, ge=0, description="hidden units of a sketch of what is diffused; 0: none")

    target: Literal["residual", "spectrum"] = Field(
        "residual",
        description="residual: fine minus aligned coarse log flux, to unit variance (Mardani et al. 2023); spectrum: the fine log flux",
    )
    condition_noise: float = Field(
        0.02,
        ge=0,
        description="largest noise [log flux] put on the coarse spectrum in training (Ho et al. 2021); drawn uniformly from 0",
    )


class Contrastive(Network):
    """Image and spectrum embedded side by side."""

    loss: Literal["clip", "nt_xent"] = Field(
        "clip", description="clip: between image and spectrum; nt_xent: eq. A3 of Doorenbos et al. 2024"
    )
    temperature: Positive = Field(0.1, description="temperature; the start of a learnt one for clip")
    latent: Count = Field(128, description="dimensions of the latent space")
    widths: tuple[Count, ...] = Field(
        (32, 64, 96, 128), description="channels of the spectrum encoder's stages, each half as fine"
    )
    blocks: Count = Field(1, description="residual blocks a stage")
    patch: Count = Field(2, description="neighbouring pixels folded into channels")
    pooling: Literal["position", "mean"] = Field(
        "position", description="position: mean, maximum and a coarse map; mean: the mean alone"
    )


class Regressor(Network):
    """The spectrum directly from the image: the fair comparator."""

    components: Count = Field(
        48, description="principal components of the training log spectra in which the spectrum is predicted"
    )
    hidden: Count = Field(256, description="hidden units")


class Train(Nest):
    """The four networks and the regression baseline."""

    seed: int = Field(
        0, ge=0, description="batches, noise and first weights are functions of (seed, network, step)"
    )
    precision: Literal["fp32", "bf16"] = Field("fp32", description="arithmetic of the forward pass")
    bin: Literal[1, 2, 4] = Field(2, description="image pixels binned to one, in each direction")
    crop: int = Field(
        4,
        ge=0,
        le=32,
        description="margin [pixel] by which images are cropped, at random in training, centrally else; even",
    )
    symmetries: Literal["dihedral", "flips", "none"] = Field(
        "dihedral", description="dihedral: 8 flips and rotations; flips: 4"
    )
    valid_every: Count = Field(
        100, description="steps between validations; the best weights by the validation metric are kept"
    )
    log_every: Count = Field(10, description="steps between points of the learning curve")
    checkpoint: Positive = Field(60.0, description="seconds between checkpoints for resuming")
    diff_coarse: Coarse = Coarse()
    clip_coarse: Contrastive = Contrastive()
    diff_fine: Fine = Fine()
    clip_fine: Contrastive = Contrastive()
    regressor: Regressor = Regressor()

    @model_validator(mode="after")
    def _sizes(self):
        if self.crop % (2 * self.bin):
            raise ValueError(f"crop={self.crop} must be a multiple of 2 x bin={2 * self.bin}")
        return self


class Sampler(Section):
    """How a diffusion network is sampled."""

    method: Literal["dpmpp_2m", "heun", "ddim", "ddpm"] = Field(
        "dpmpp_2m",
        description="dpmpp_2m: Lu et al. 2022; heun: Karras et al. 2022; ddim: Song et al. 2021; ddpm: Ho et al. 2020",
    )
    evaluations: Count = Field(12, description="evaluations of the network a draw (paper: 250)")
    schedule: Literal["karras", "cosine"] = Field(
        "karras",
        description="noise levels: karras, between the two below; cosine, evenly from train's cosine_steps",
    )
    noise_min: Positive = Field(0.02, description="last noise level over 0 [standard deviations of the data]")
    noise_max: Positive = Field(80.0, description="first noise level [standard deviations of the data]")
    clip: float = Field(
        0.0, ge=0, description="bound on the denoised spectrum [standard deviations of the data]; 0: none"
    )

    @model_validator(mode="after")
    def _ordered(self):
        if self.noise_min >= self.noise_max:
            raise ValueError(f"noise_min={self.noise_min} must be below noise_max={self.noise_max}")
        return self


class Generate(Nest):
    """From a test image to its predicted spectrum."""

    draws: Count = Field(10, description="coarse draws a galaxy")
    keep: Count = Field(
        3, description="coarse draws kept, the best by the coarse contrastive network (paper: 3)"
    )
    fine_draws: Count = Field(5, description="fine draws for each kept coarse one (paper: 5)")
    spread: bool = Field(
        True,
        description="one more fine draw for every coarse one: unselected draws, for mean, medoid and spread;"
        " false: those of the kept, as the paper",
    )
    seed: int = Field(0, ge=0, description="a draw depends on (seed, specobjid, draw index) alone")
    keep_draws: bool = Field(True, description="store every draw, not only the products and scores")
    coarse: Sampler = Sampler()
    fine: Sampler = Sampler(evaluations=8)

    @model_validator(mode="after")
    def _enough(self):
        if self.keep > self.draws:
            raise ValueError(f"keep={self.keep} must not exceed draws={self.draws}")
        return self


class Redshift(Section):
    """Blind redshifts by a chi2 scan over eigenspectra."""

    z_min: float = Field(0.0, gt=-0.1, description="first trial redshift")
    z_max: float = Field(0.3, gt=0, le=0.6, description="last trial redshift")
    step: float = Field(
        2e-4,
        ge=1e-5,
        le=1e-3,
        description="spacing of the trial redshifts in log10(1 + z) [dex]; maxima are refined",
    )
    polynomials: int = Field(
        3, ge=0, le=10, description="Legendre polynomials fitted with the eigenspectra, degree 0 upwards"
    )
    separation: Positive = Field(
        0.003, description="two maxima further apart than this |dz|/(1+z) are different redshifts"
    )
    ambiguous: float = Field(
        9.0,
        ge=0,
        description="WARN bit ambiguous_redshift where the second redshift fits worse by less than this chi2",
    )
    coverage: float = Field(
        0.5,
        gt=0,
        le=1,
        description="WARN bit no_redshift where less than this fraction of the pixels is good",
    )
    components: Count = Field(10, description="eigenspectra of the training split")
    spectra: Count = Field(4000, description="training spectra at most that the eigenspectra are made of")
    iterations: Count = Field(25, description="iterations of the principal component analysis")
    error_floor: float = Field(
        0.03, ge=0, description="fractional error added to each pixel's there, so that no bright galaxy rules"
    )
    pixel_coverage: float = Field(
        0.05, gt=0, le=1, description="eigenspectra end where less than this fraction of the spectra reaches"
    )

    @model_validator(mode="after")
    def _ordered(self):
        if self.z_min >= self.z_max:
            raise ValueError(f"z_min={self.z_min} must be below z_max={self.z_max}")
        return self


class Quality(Section):
    """Pixel-by-pixel comparison."""

    wave_min: Positive = Field(
        4000.0, description="rest-frame range of the scores, first wavelength [Angstrom]"
    )
    wave_max: Positive = Field(7000.0, description="last wavelength [Angstrom]")
    bootstrap: Count = Field(
        1000, description="resamplings of the test objects for the errors of the headline numbers"
    )

    @model_validator(mode="after")
    def _ordered(self):
        if self.wave_min >= self.wave_max:
            raise ValueError(f"wave_min={self.wave_min} must be below wave_max={self.wave_max}")
        return self


class Measure(Section):
    """Measurements on spectrum files of your own."""

    z_min: float = Field(-0.002, gt=-0.1, description="first trial redshift")
    z_max: float = Field(0.6, gt=0, le=0.6, description="last trial redshift")
    components: Count = Field(8, description="stellar eigenspectra made from the E-MILES populations")
    templates: Path = Field(
        Path("results/raw/templates/emiles.npz"),
        description="E-MILES populations; `sanspec templates` fetches them",
    )


class Ppxf(Section):
    """Populations, kinematics and emission lines with pPXF (Cappellari 2023)."""

    library: Path = Field(
        Path("results/raw/templates/emiles.npz"),
        description="any population library as ppxf's `sps_lib` reads it (.npz)",
    )
    imf: str = Field(
        "Salpeter, unimodal 1.30", description="initial mass function of the library, for the record"
    )
    wave_min: Positive = Field(3545.0, description="first wavelength fitted [Angstrom, rest, air]")
    wave_max: Positive = Field(8000.0, description="last wavelength fitted [Angstrom, rest, air]")
    velscale: float = Field(69.0, gt=20, le=150, description="logarithmic pixel of the fit [km/s]")
    age_max: Positive = Field(14.2, description="oldest population [Gyr]")
    regul: float = Field(
        10.0, ge=0, le=1000, description="smoothing of the weights in the first fit, 0: none (paper: 10)"
    )
    solver: Literal["projection", "capfit"] = Field(
        "projection",
        description="way to the minimum: projection, by closed derivatives; capfit: pPXF's own, by trial",
    )
    draws: int = Field(50, ge=0, le=10000, description="bootstrap draws, 0: none (paper: 50)")
    bootstrap_objects: int | None = Field(
        48, ge=0, description="test objects, chosen at random, that get a bootstrap; null: all"
    )
    bootstrap: Literal["fast", "full"] = Field(
        "fast", description="full: every draw is refitted; fast: two Gauss-Newton steps, full at bounds"
    )
    flips: Literal["block", "independent"] = Field(
        "block",
        description="residuals change sign in blocks of one FWHM of the line spread, or pixel by pixel as the paper",
    )


class Firefly(Section):
    """Populations with FIREFLY's method (Wilkinson et al. 2017)."""

    method: Literal["clean", "compat"] = Field(
        "clean",
        description="clean: mended, with calibrated errors; compat: as the released code does it, faults and all",
    )
    imf: Literal["", "kr", "ss", "cha"] = Field(
        "",
        description="initial mass function where the templates are a folder of firefly_release; empty: the only one there",
    )
    wave_min: Positive = Field(3550.0, description="templates start here [Angstrom, rest, air] (clean)")
    wave_max: Positive = Field(
        7400.0, description="templates end here [Angstrom, rest, air]; M11-MILES is empty beyond (clean)"
    )
    line_mask: float = Field(
        20.0, ge=0, le=100, description="half width left out about every emission line [Angstrom, rest]"
    )
    vdisp: float = Field(
        150.0, ge=0, le=600, description="velocity dispersion where pPXF measured none [km/s]"
    )
    resolution: Positive = Field(
        2000.0, description="resolving power of the data (compat; clean takes the data's own line spread)"
    )
    curve: Literal["calzetti", "allen", "prevot", "odonnell"] = Field(
        "calzetti", description="attenuation curve from which E(B-V) is read"
    )
    attenuation: Literal["smoothed", "curve"] = Field(
        "smoothed",
        description="what multiplies the models: the smoothed attenuation itself, or `curve` of its E(B-V) (clean)",
    )
    ebv_max: Positive = Field(1.5, description="greatest E(B-V) [mag]; 200 values from 0 up to it are tried")
    smoothing: Positive = Field(
        200.0, description="half width of the running median over the attenuation [Angstrom]"
    )
    iterations: int = Field(
        10, ge=1, le=30, description="populations added to a combination, one an iteration"
    )
    calibration: float = Field(
        0.03, ge=0, le=1, description="flux calibration error of each smooth mode, as a fraction (clean)"
    )
    averages: Literal["linear", "log"] = Field(
        "linear",
        description="linear: log of the mean age and metallicity, as FIREFLY; log: mean of the logs, as pPXF (clean)",
    )
    draws: int = Field(10, ge=0, le=1000, description="bootstrap draws, 0: none (paper: 10)")
    bootstrap_objects: int | None = Field(
        48, ge=0, description="test objects, chosen at random, that get a bootstrap; null: all"
    )
    flips: Literal["block", "independent"] = Field(
        "block",
        description="residuals change sign in blocks of one FWHM of the line spread, or pixel by pixel as the paper",
    )

    @model_validator(mode="after")
    def _ordered(self):
        if self.wave_min >= self.wave_max:
            raise ValueError(f"wave_min={self.wave_min} must be below wave_max={self.wave_max}")
        return self


class Stellar(Section):
    """Stellar populations of observed and predicted spectra."""

    noise: Literal["constant", "observed"] = Field(
        "constant",
        description="noise of both members of a pair: constant, the median of the observed one's; or the observed one's, pixel by pixel",
    )
    predicted_z: Literal["measured", "true"] = Field(
        "measured",
        description="redshift at which a predicted spectrum is fitted: its own or the observed one's",
    )
    milky_way: Literal["catalogue", "none"] = Field(
        "catalogue",
        description="the Milky Way's dust: taken out by the catalogue's extinction_r, or left in",
    )
    sky_lines: tuple[Positive, ...] = Field(
        (5578.9, 5894.6, 6302.0), description="night-sky lines left out of every fit [Angstrom, observed]"
    )
    sky_width: float = Field(
        8.0, ge=0, description="half width of what is left out about each of them [Angstrom]"
    )
    least_pixels: Count = Field(300, description="WARN bit not_fitted where a spectrum has fewer good pixels")
    low_snr: Positive = Field(3.0, description="WARN bit low_snr below this signal to noise per pixel")
    shards: Count = Field(8, description="jobs into which the fits of a run are split")
    seed: int = Field(0, ge=0, description="a bootstrap draw depends on (seed, specobjid, kind, draw) alone")
    ppxf: Ppxf = Ppxf()
    firefly: Firefly = Firefly()


class Figures(Section):
    """Pictures and their numbers."""

    dpi: int = Field(300, ge=50, le=1200, description="resolution of the PNG [dots per inch]")
    examples: int = Field(
        4, ge=1, le=8, description="galaxies in figure 2, spread evenly over the ranking in Delta-bar"
    )
    bright: float = Field(
        0.25,
        gt=0,
        le=1,
        description="figure 1 takes its galaxies from this brightest fraction of the training split",
    )
    stretch: Positive = Field(
        0.5,
        description="colour images: flux where the stretch turns from linear to logarithmic [nanomaggies a pixel]",
    )
    softening: Positive = Field(
        8.0, description="colour images: softening Q of the asinh stretch (Lupton et al. 2004)"
    )


class Check(Section):
    """What must hold before a run counts as done."""

    mse_over_mean: Positive = Field(1.0, description="largest mse_predicted / mse_mean_spectrum")
    mse_over_nearest: Positive = Field(1.0, description="largest mse_predicted / mse_nearest_image")
    sigma_mad_over_median: Positive = Field(
        1.0, description="largest sigma_mad / sigma_mad_median_baseline (predicting the median redshift)"
    )
    sigma_mad_observed: Positive = Field(
        1e-3, description="largest sigma_MAD of redshifts measured blindly on the observed spectra"
    )
    z_rank: float = Field(
        0.3, ge=-1, le=1, description="least rank correlation of predicted with true redshifts"
    )
    dn4000_contrast: float = Field(
        0.05, description="least excess in median Dn4000 of the redder half in u-r over the bluer half"
    )
    spread: float = Field(
        0.2, ge=0, description="least scatter between galaxies of predicted over observed spectra"
    )
    predicted_fraction: float = Field(
        0.99, ge=0, le=1, description="least fraction of the test objects with a whole predicted spectrum"
    )
    norm_tolerance: Positive = Field(
        1e-3, description="largest distance from 1 of the mean flux in the normalisation window"
    )
    fibre_tolerance: Positive = Field(
        0.5,
        description="largest median difference of fibre r magnitudes from spectrum and image [mag]; SDSS ties spectra to PSF magnitudes",
    )


class Services(Section):
    """Where the services stand. Credentials go to https addresses alone, but for this machine."""

    login: str = Field(
        "https://apps.sciserver.org/login-portal/keystone/v3/tokens", description="SciServer's tokens"
    )
    casjobs: str = Field("https://skyserver.sdss.org/CasJobs/RestApi", description="CasJobs, REST")
    casjobs_soap: str = Field(
        "https://skyserver.sdss.org/casjobs/services/jobs.asmx",
        description="CasJobs, the older HTTP-POST form",
    )
    skyserver: str = Field(
        "https://skyserver.sdss.org/dr12/SkyServerWS/SearchTools/SqlSearch", description="anonymous SQL"
    )
    spectra: str = Field(
        "https://data.sdss.org/sas/dr12/sdss/spectro/redux/{run2d}/spectra/lite/"
        "{plate:04d}/spec-{plate:04d}-{mjd}-{fiberid:04d}.fits",
        description="spec-lite files; {run2d}, {plate}, {mjd} and {fiberid} are filled in",
    )
    sparcl: str = Field(
        "https://astrosparcl.datalab.noirlab.edu/api", description="SPARCL, the second source"
    )
    frames: str = Field(
        "https://data.sdss.org/sas/dr12/boss/photoObj/frames/{rerun}/{run}/{camcol}/"
        "frame-{band}-{run:06d}-{camcol}-{field:04d}.fits.bz2",
        description="calibrated frames; {band}, {rerun}, {run}, {camcol} and {field} are filled in",
    )
    jpeg: str = Field(
        "https://skyserver.sdss.org/dr12/SkyServerWS/ImgCutout/getjpeg", description="JPEG cutouts"
    )
    cubes: str | None = Field(None, description="the cube file's address; null: it is a local file")


class Http(Section):
    """Manners of the one HTTP client."""

    contact: str | None = Field(
        None, pattern=r"^[^@\s]+@[^@\s]+$", description="your e-mail address, told to every service"
    )
    connections: int = Field(4, ge=1, le=8, description="connections open at a time")
    rate: Positive = Field(20.0, description="requests begun in a second, at most")
    connect_timeout: Positive = Field(10.0, description="for a connection to open [s]")
    read_timeout: Positive = Field(60.0, description="without a byte arriving [s]")
    least_speed: Positive = Field(2000.0, description="a transfer slower than this is begun again [byte/s]")
    attempts: int = Field(6, ge=1, le=20, description="tries of one request")
    backoff: Positive = Field(5.0, description="wait before the second try; doubles, +-50 % at random [s]")
    backoff_max: Positive = Field(300.0, description="longest wait of our own choosing [s]")
    retry_after_max: Positive = Field(
        3600.0,
        description="longest wait that a service may ask for by Retry-After; beyond it the run stops [s]",
    )


class Acquire(Section):
    """The real survey: what is asked of SDSS, and how."""

    release: str = Field("DR12", pattern="^DR[0-9]+$", description="CasJobs context")
    form: Literal["corrected", "as_printed"] = Field(
        "corrected",
        description="Appendix B of Doorenbos et al. 2024 with its BAD_COUNTS_ERROR mask mended, or as printed",
    )
    z_min: float = Field(0.05, ge=0, description="least redshift asked for, inclusive")
    z_max: float = Field(0.15, gt=0, description="greatest redshift asked for, inclusive")
    sample: Literal["cubes", "all"] = Field(
        "cubes", description="cubes: the objects of the cube file; all: every object that passes the query"
    )
    service: Literal["auto", "casjobs", "casjobs_soap", "skyserver"] = Field(
        "auto", description="auto: CasJobs where there are credentials for it, else SkyServer anonymously"
    )
    store: Path = Field(
        Path("results/raw/sdss/store"),
        description="folder of everything fetched; kept between runs, never deleted",
    )
    database: str = Field(
        "sqlite:///results/raw/sdss/survey.db",
        description="catalogue and manifest: sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME, no password in it",
    )
    prefix: str = Field(
        "sanspec", pattern="^[A-Za-z][A-Za-z0-9_]{0,30}$", description="our tables in MyDB begin with this"
    )
    replace: bool = Field(False, description="drop a table of ours in MyDB that this project did not make")
    poll: Positive = Field(5.0, description="wait between looks at a job; grows by half to poll_max [s]")
    poll_max: Positive = Field(60.0, description="longest wait between looks at a job [s]")
    page: int = Field(20000, ge=100, le=500000, description="rows fetched from a finished table at a time")
    query_interval: Positive = Field(
        1.1, description="between anonymous queries; SkyServer allows 60 a minute [s]"
    )
    query_rows: int = Field(
        400000, ge=10, lt=500000, description="an anonymous answer of this many rows or more is sliced finer"
    )
    query_length: int = Field(
        1900, ge=1000, le=2048, description="longest encoded anonymous query; columns are split over several"
    )
    slice_plates: Count = Field(50, description="plates in one anonymous query, at first")
    sources: tuple[Literal["sas", "sparcl"], ...] = Field(
        ("sas",),
        min_length=1,
        description="where spectra come from, the next one for what the last did not give",
    )
    sparcl_release: str = Field("SDSS-DR17", description="SPARCL's data set")
    sparcl_batch: int = Field(100, ge=1, le=24000, description="spectra asked of SPARCL at a time")
    passes: Count = Field(3, description="passes over the objects that failed; also a 404 must come up twice")
    tolerate_failed: float = Field(
        0.01,
        ge=0,
        le=1,
        description="the chain goes on where no more than this fraction of the spectra failed",
    )
    pack: bool = Field(False, description="pack spectra by plate into HDF5 and drop the FITS files")
    cubes: Path | None = Field(None, description="a local cube file (sdss.npz); null: fetch services.cubes")
    cubes_sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="checksum of the cube file; null: reported, not compared"
    )
    inspect_cubes: Count = Field(300, description="cubes whose aperture fluxes are compared with fiberMag")
    inspect_frames: int = Field(4, ge=0, description="cubes compared with SDSS frames for their orientation")
    services: Services = Services()
    http: Http = Http()

    @field_validator("database")
    @classmethod
    def _no_password(cls, url: str) -> str:
        inside = ":" in url.partition("://")[2].rpartition("@")[0] or "password=" in url.lower()
        if inside:  # the fault must not repeat it
            raise SanspecError(
                "config: key 'acquire.database' holds a password; allowed: postgresql+psycopg://USER@HOST/NAME; "
                "give it in ~/.pgpass or in the environment (PGPASSWORD)"
            )
        return url

    @model_validator(mode="after")
    def _ordered(self):
        if self.z_min >= self.z_max:
            raise ValueError(f"z_min={self.z_min} must be below z_max={self.z_max}")
        return self


class Config(Section):
    """All settings of one run."""

    survey: Survey = Survey()
    templates: Templates = Templates()
    templates_m11: TemplatesM11 = TemplatesM11()
    mock: Mock = Mock()
    acquire: Acquire = Acquire()
    match: Match = Match()
    prepare: Prepare = Prepare()
    train: Train = Train()
    generate: Generate = Generate()
    redshift: Redshift = Redshift()
    quality: Quality = Quality()
    stellar: Stellar = Stellar()
    figures: Figures = Figures()
    check: Check = Check()
    measure: Measure = Measure()

    @model_validator(mode="after")
    def _acquired_window(self):
        asked, used = self.acquire, self.match
        if self.survey.source == "sdss" and not asked.z_min <= used.z_min < used.z_max <= asked.z_max:
            raise ValueError(
                f"match.z_min-z_max must lie within acquire.z_min-z_max ({asked.z_min}-{asked.z_max})"
            )
        return self


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
        hint = (
            f"; known keys: {', '.join(_keys(first['loc'][:-1]))}"
            if first["type"] == "extra_forbidden"
            else ""
        )
        raise SanspecError(
            f"config: run {run!r}: key {key!r}: {first['msg']}, got {first['input']!r}{hint}{more}"
        ) from None


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
        raise SanspecError(
            f"config: key 'runs': expected a mapping of run names to overrides, got {overrides!r}"
        )
    runs = {"main": validate(settings)}
    for name, change in overrides.items():
        if not str(name).replace("_", "").isalnum() or name in ("main", "raw"):
            raise SanspecError(
                f"config: key 'runs': bad run name {name!r}; letters, digits and _ only, not 'main' or 'raw'"
            )
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
