"""The networks: architecture, training, generation."""

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from sanspec.config.base import BelowOne, Count, Nest, NotNegative, Positive, Section, Whole

CASCADE = ("diff_coarse", "clip_coarse", "diff_fine", "clip_fine")  # the networks that generate spectra
NETWORKS = (*CASCADE, "regressor")


class NetworkSettings(Section):
    """What every network's training has in common."""

    steps: Count = 1000
    """optimiser steps"""
    batch: Count = 64
    """galaxies per step; the whole training split if it is smaller"""
    rate: Positive = 2e-3
    """peak learning rate"""
    warmup: Whole = 50
    """steps over which the learning rate rises from 0"""
    schedule: Literal["cosine", "constant"] = "cosine"
    """learning rate after the warm-up; cosine: falls to 0 at the last step"""
    optimiser: Literal["adamw", "adam"] = "adamw"
    """adamw: decoupled weight decay; adam: weight decay as an L2 penalty"""
    weight_decay: NotNegative = 0.01
    """weight decay"""
    beta2: float = Field(0.99, gt=0, lt=1)
    """decay rate of Adam's average of squared gradients"""
    ema: BelowOne = 0.995
    """decay of the moving average of the weights, warmed up as (step + 1) / (step + 10)"""
    patience: Whole = 0
    """stop after this many validations without improvement; 0: never"""
    metric: str = ""
    """validation score that is minimised to choose the weights and to stop; -NAME: maximised; empty: the network's default"""
    encoder: Literal["small", "resnet18", "resnet50"] = "small"
    """image encoder"""
    encoder_widths: tuple[Count, ...] = (32, 64, 96)
    """channels of the small encoder's stages; each stage halves the resolution"""
    apertures: tuple[Positive, ...] = (2.0, 3.5, 5.5, 8.0, 12.0, 18.0)
    """radii of circular apertures whose fluxes the encoder also takes [pixel]; empty: pixels only"""
    dropout: BelowOne = 0.1
    """dropout rate in residual blocks"""


class DiffusionSettings(NetworkSettings):
    """A conditional diffusion network."""

    prediction: Literal["edm", "epsilon"] = "edm"
    """what the network predicts; edm: preconditioned as in Karras et al. 2022; epsilon: the noise (Ho et al. 2020)"""
    noise: Literal["lognormal", "cosine"] = "lognormal"
    """distribution of noise levels in training: lognormal, or the steps of a cosine schedule (Nichol & Dhariwal 2021)"""
    noise_mean: float = 0.0
    """lognormal: mean of ln(noise level / standard deviation of the data)"""
    noise_std: Positive = 1.6
    """lognormal: standard deviation of that logarithm"""
    cosine_steps: Count = 250
    """cosine: number of steps"""
    architecture: Literal["unet", "paper"] = "unet"
    """unet: works on patches, noise level and image scale and shift its features; paper: the U-Net of Doorenbos et al. 2024"""
    widths: tuple[Count, ...] = (64, 96, 128)
    """channels of the U-Net's levels; each level halves the resolution"""
    patch: Count = 4
    """unet: neighbouring pixels folded into channels"""
    attention: tuple[int, ...] = (2,)
    """levels that attend to the image's tokens; 0: the finest"""
    sketch: Whole = 128
    """hidden units of the sketch, a regression of the spectrum that is trained with the denoiser and given to it; 0: no sketch"""
    components: Count = 32
    """rest-frame principal components of the sketch, with redshift: drawn or given"""

    @model_validator(mode="after")
    def _heads(self):
        heads = 32 if self.architecture == "paper" else 4  # channels of a head; number of heads
        for level in self.attention:
            if not 0 <= level < len(self.widths) or self.widths[level] % heads:
                raise ValueError(
                    f"attention={list(self.attention)} must name levels 0 to {len(self.widths) - 1} with widths that are multiples of {heads}"
                )
        return self


class CoarseSettings(DiffusionSettings):
    """The coarse spectrum given the image."""

    redshift: Literal["drawn", "free"] = "drawn"
    """drawn: each draw starts from a redshift drawn given the image, and the sketch is moved to it; free: left to the denoiser"""
    bins: Count = 40
    """drawn: bins of the redshift distribution, over the range of the training redshifts"""
    smoothing: NotNegative = 3.0
    """drawn: standard deviation of the Gaussian that smooths the bins' log odds [bins]; 0: none"""


class FineSettings(DiffusionSettings):
    """The fine spectrum given the image and a coarse spectrum."""

    redshift: Literal["given", "free"] = "given"
    """given: conditioned on the redshift of the coarse draw, to which the sketch is moved; free: only on its spectrum"""
    target: Literal["residual", "spectrum"] = "residual"
    """residual: fine minus aligned coarse log flux, scaled to unit variance (Mardani et al. 2023); spectrum: the fine log flux"""
    condition_noise: NotNegative = 0.02
    """maximum noise added to the coarse spectrum in training, drawn uniformly from 0 [log flux] (Ho et al. 2021)"""


class ContrastiveSettings(NetworkSettings):
    """Image and spectrum embedded in one latent space."""

    loss: Literal["clip", "nt_xent"] = "clip"
    """clip: between images and spectra; nt_xent: eq. A3 of Doorenbos et al. 2024"""
    temperature: Positive = 0.1
    """temperature; clip learns it, starting from this value"""
    latent: Count = 128
    """dimensions of the latent space"""
    widths: tuple[Count, ...] = (32, 48, 64, 64)
    """channels of the spectrum encoder's stages; each halves the resolution"""
    blocks: Count = 1
    """residual blocks per stage"""
    patch: Count = 2
    """neighbouring pixels folded into channels"""
    pooling: Literal["position", "mean"] = "position"
    """position: mean, maximum and a low-resolution map; mean: the mean alone"""


class RegressorSettings(NetworkSettings):
    """The spectrum regressed on the image."""

    components: Count = 48
    """principal components of the training log spectra in which the spectrum is predicted"""
    hidden: Count = 256
    """hidden units"""


class Train(Section):
    """The four networks and the regression baseline."""

    inherits: ClassVar[dict[str, str]] = {
        "networks": "",
        "diffusion": "networks",
        "contrastive": "networks",
        "diff_coarse": "diffusion",
        "clip_coarse": "contrastive",
        "diff_fine": "diffusion",
        "clip_fine": "contrastive",
        "regressor": "networks",
    }

    seed: Whole = 0
    """seed of initial weights, batches and noise"""
    precision: Literal["fp32", "bf16"] = "fp32"
    """arithmetic of the forward pass"""
    compile: bool = False
    """compile the networks with torch.compile and CUDA graphs; ignored on the CPU"""
    devices: Count = 1
    """GPUs that share every batch of a network; the weights stay the same up to rounding"""
    images: Literal["half", "byte"] = "half"
    """images in the device's memory: half precision, or 8 bits of asinh(image / softening) in half the space"""
    bin: Literal[1, 2, 4] = 2
    """side of the square of image pixels averaged into one"""
    crop: int = Field(4, ge=0, le=32)
    """pixels cut from the width and the height of an image, at random in training, else evenly from both sides; a multiple of 2 x bin"""
    symmetries: Literal["dihedral", "flips", "none"] = "dihedral"
    """random symmetries of the images in training; dihedral: 8 flips and rotations; flips: 4"""
    valid_every: Count = 100
    """steps between validations; the weights with the best metric are kept"""
    scored: Whole = 0
    """validation galaxies whose draws are scored at each validation of a diffusion network (crps, spread_skill, ...)"""
    log_every: Count = 10
    """steps between points of the learning curve"""
    checkpoint: Positive = 60.0
    """time between checkpoints from which to resume [s]"""
    networks: NetworkSettings = Field(NetworkSettings(), exclude=True)
    """All networks, unless a block below says otherwise."""
    diffusion: DiffusionSettings = Field(DiffusionSettings(), exclude=True)
    """Both diffusion networks, unless their own block says otherwise."""
    contrastive: ContrastiveSettings = Field(ContrastiveSettings(encoder_widths=(24, 32, 48)), exclude=True)
    """Both contrastive networks, unless their own block says otherwise."""
    diff_coarse: CoarseSettings = CoarseSettings(steps=1700)
    """Diffusion: the coarse spectrum given the image."""
    clip_coarse: ContrastiveSettings = ContrastiveSettings()
    """Contrastive: image and coarse spectrum in one latent space."""
    diff_fine: FineSettings = FineSettings(batch=32, rate=1e-3, widths=(48, 64, 96), patch=16, attention=())
    """Diffusion: the fine spectrum given the image and a coarse spectrum."""
    clip_fine: ContrastiveSettings = ContrastiveSettings(steps=800, patch=16)
    """Contrastive: image and fine spectrum in one latent space."""
    regressor: RegressorSettings = RegressorSettings(steps=600, batch=128, rate=1e-3)
    """The spectrum regressed on the image: the baseline of the generative networks."""

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, settings: Any) -> Any:
        """Complete each network's settings: what is given, then its own defaults, then those it inherits."""
        if not isinstance(settings, dict):
            return settings
        filled: dict[str, Any] = {"": {}}
        for name, above in cls.inherits.items():
            given, default = settings.get(name, {}), cls.model_fields[name].default
            given = dict(given) if isinstance(given, Section) else given
            if isinstance(given, dict) and isinstance(filled[above], dict):
                given = filled[above] | default.model_dump(exclude_unset=True) | given
            filled[name] = given
        del filled[""]
        return settings | filled

    @model_validator(mode="after")
    def _consistent(self):
        if self.crop % (2 * self.bin):
            raise ValueError(f"crop={self.crop} must be a multiple of 2 x bin={2 * self.bin}")
        for name, own in (("diff_coarse", self.diff_coarse), ("diff_fine", self.diff_fine)):
            if own.redshift != "free" and not own.sketch:
                remedy = f"set {name}.sketch above 0, or redshift=free"
                raise ValueError(f"{name}.redshift={own.redshift} needs a sketch: {remedy}")
        if self.diff_fine.redshift == "given" and self.diff_coarse.redshift == "free":
            raise ValueError(
                "diff_fine.redshift=given needs the redshift of a coarse draw: set diff_coarse.redshift=drawn,"
                " or diff_fine.redshift=free"
            )
        return self


class Sampler(Section):
    """How a diffusion network is sampled."""

    method: Literal["sde_dpmpp_2m", "dpmpp_2m", "heun", "ddim", "ddpm"] = "dpmpp_2m"
    """dpmpp_2m, sde_dpmpp_2m (adds fresh noise at each step): Lu et al. 2022; heun: Karras et al. 2022; ddim: Song et al. 2021; ddpm: Ho et al. 2020"""
    evaluations: Count = 12
    """network evaluations per draw (paper: 250)"""
    schedule: Literal["karras", "cosine"] = "karras"
    """noise levels; karras: from 80 down to noise_min (Karras et al. 2022); cosine: evenly from the cosine_steps of training"""
    noise_min: float = Field(0.02, gt=0, lt=80)
    """karras: last noise level above 0 [standard deviations of the data]"""
    clip: NotNegative = 0.0
    """bound on the denoised spectrum [standard deviations of the data]; 0: none"""


class Generate(Nest):
    """From a test image to its predicted spectrum."""

    draws: Count = 10
    """coarse draws per galaxy"""
    keep: Count = 3
    """coarse draws kept: those the coarse contrastive network scores best (paper: 3)"""
    fine_draws: Count = 5
    """fine draws for each coarse draw kept (paper: 5)"""
    spread: bool = True
    """true: one more fine draw for every coarse draw, and mean, medoid and spread from these unselected draws; false: from the draws of the kept, as in the paper"""
    seed: Whole = 0
    """a draw depends on (seed, specobjid, draw index) alone"""
    keep_draws: bool = True
    """store every draw as well as the products and scores"""
    coarse: Sampler = Sampler(method="sde_dpmpp_2m", evaluations=15)
    """How the coarse network is sampled."""
    fine: Sampler = Sampler(evaluations=8, noise_min=0.05)
    """How the fine network is sampled."""

    @model_validator(mode="after")
    def _enough(self):
        if self.keep > self.draws:
            raise ValueError(f"keep={self.keep} must not exceed draws={self.draws}")
        return self
