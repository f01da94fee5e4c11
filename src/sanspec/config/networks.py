"""The networks: architecture, training, generation."""

from typing import Literal

from pydantic import Field, model_validator

from sanspec.config.base import Count, Nest, Positive, Section

NETWORKS = ("diff_coarse", "clip_coarse", "diff_fine", "clip_fine", "regressor")


class Network(Section):
    """What every network's training has in common."""

    steps: Count = Field(1000, description="optimiser steps")
    batch: Count = Field(64, description="galaxies a step; the whole training split where it is smaller")
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
    metric: str = Field(
        "",
        description="validation score that chooses the weights and ends the training, the smaller the better; -NAME: the larger; empty: the network's own",
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
    levels: Count = Field(
        1, description="noise levels a galaxy a step, spread evenly over their distribution"
    )
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
        (2,), description="levels with attention to the image's tokens, 0 the finest"
    )

    @model_validator(mode="after")
    def _heads(self):
        heads = 32 if self.architecture == "paper" else 4  # channels of a head; number of heads
        for level in self.attention:
            if not 0 <= level < len(self.widths) or self.widths[level] % heads:
                raise ValueError(
                    f"attention={list(self.attention)} must name levels 0 to {len(self.widths) - 1} whose widths are multiples of {heads}"
                )
        return self


class Coarse(Diffusion):
    """Coarse spectrum from the image."""

    sketch: int = Field(
        128,
        ge=0,
        description="hidden units of a sketch: the spectrum expected of the image, learnt along and shown to the denoiser; 0: none",
    )
    redshift: Literal["drawn", "free"] = Field(
        "drawn",
        description="drawn: each draw first draws a redshift from its distribution given the image, and the sketch stands there; free: the denoiser settles it",
    )
    bins: Count = Field(40, description="drawn: bins of that distribution, between the training redshifts")
    smoothing: float = Field(
        3.0,
        ge=0,
        description="drawn: Gaussian by which the log odds of the bins are smoothed [bins]; 0: none",
    )
    components: Count = Field(
        32, description="drawn: rest-frame principal components of which the sketch is made"
    )

    @model_validator(mode="after")
    def _sketched(self):
        if self.redshift == "drawn" and not self.sketch:
            raise ValueError("redshift=drawn needs a sketch: set sketch above 0, or redshift=free")
        return self


class Fine(Diffusion):
    """Fine spectrum from the image and a coarse spectrum."""

    sketch: int = Field(
        128, ge=0, description="hidden units of a sketch of what is diffused; 0: none, with redshift=free"
    )
    redshift: Literal["given", "free"] = Field(
        "given",
        description="given: told, as the coarse draw's, and the sketch stands there; free: the coarse spectrum tells it",
    )
    components: Count = Field(
        32, description="given: rest-frame principal components of which the sketch is made"
    )
    target: Literal["residual", "spectrum"] = Field(
        "residual",
        description="residual: fine minus aligned coarse log flux, to unit variance (Mardani et al. 2023); spectrum: the fine log flux",
    )
    condition_noise: float = Field(
        0.02,
        ge=0,
        description="largest noise [log flux] put on the coarse spectrum in training (Ho et al. 2021); drawn uniformly from 0",
    )

    @model_validator(mode="after")
    def _sketched(self):
        if self.redshift == "given" and not self.sketch:
            raise ValueError("redshift=given needs a sketch: set sketch above 0, or redshift=free")
        return self


class Contrastive(Network):
    """Image and spectrum embedded side by side."""

    rate: Positive = Field(2e-3, description="peak learning rate")
    encoder_widths: tuple[Count, ...] = Field(
        (24, 32, 48), description="channels of the small image encoder's stages, each half as fine"
    )
    loss: Literal["clip", "nt_xent"] = Field(
        "clip", description="clip: between image and spectrum; nt_xent: eq. A3 of Doorenbos et al. 2024"
    )
    temperature: Positive = Field(0.1, description="temperature; the start of a learnt one for clip")
    latent: Count = Field(128, description="dimensions of the latent space")
    widths: tuple[Count, ...] = Field(
        (32, 48, 64, 64), description="channels of the spectrum encoder's stages, each half as fine"
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
    compile: bool = Field(
        False,
        description="torch.compile with CUDA graphs; on the CPU, where it gains nothing, it is left off in any case",
    )
    devices: Count = Field(
        1,
        description="GPUs that train one network together, each with its share of every batch; the numbers stay the same up to rounding",
    )
    images: Literal["half", "byte"] = Field(
        "half",
        description="how images are held in the device's memory: half precision, or 8 bits of asinh(image / softening), half as large",
    )
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
    scored: int = Field(
        0,
        ge=0,
        description="validation galaxies for which a diffusion network draws spectra at each validation, to score them (crps, spread_skill, ...)",
    )
    log_every: Count = Field(10, description="steps between points of the learning curve")
    checkpoint: Positive = Field(60.0, description="seconds between checkpoints for resuming")
    diff_coarse: Coarse = Coarse(steps=1700, rate=2e-3)
    clip_coarse: Contrastive = Contrastive()
    diff_fine: Fine = Fine(batch=32, widths=(48, 64, 96), patch=16, attention=())
    clip_fine: Contrastive = Contrastive(steps=800, patch=16)
    regressor: Regressor = Regressor(steps=600, batch=128, rate=1e-3, encoder_widths=(32, 64, 96))

    @model_validator(mode="after")
    def _sizes(self):
        if self.crop % (2 * self.bin):
            raise ValueError(f"crop={self.crop} must be a multiple of 2 x bin={2 * self.bin}")
        return self

    @model_validator(mode="after")
    def _redshifts(self):
        if self.diff_fine.redshift == "given" and self.diff_coarse.redshift == "free":
            raise ValueError(
                "diff_fine.redshift=given needs the redshift of a coarse draw: set diff_coarse.redshift=drawn,"
                " or diff_fine.redshift=free"
            )
        return self


class Sampler(Section):
    """How a diffusion network is sampled."""

    method: Literal["sde_dpmpp_2m", "dpmpp_2m", "heun", "ddim", "ddpm"] = Field(
        "dpmpp_2m",
        description="dpmpp_2m, sde_dpmpp_2m (with fresh noise at each step): Lu et al. 2022; heun: Karras et al. 2022; ddim: Song et al. 2021; ddpm: Ho et al. 2020",
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
    coarse: Sampler = Sampler(method="sde_dpmpp_2m", evaluations=15)
    fine: Sampler = Sampler(evaluations=8, noise_min=0.05)

    @model_validator(mode="after")
    def _enough(self):
        if self.keep > self.draws:
            raise ValueError(f"keep={self.keep} must not exceed draws={self.draws}")
        return self
