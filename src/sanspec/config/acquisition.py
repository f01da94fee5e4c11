"""Where the galaxies come from."""

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from sanspec.config.base import Count, Positive, Section
from sanspec.errors import SanspecError

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


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
    def _polite(self):
        limits = (("poll", 5.0, self.services.casjobs), ("query_interval", 1.0, self.services.skyserver))
        for name, least, url in limits:
            given, foreign = getattr(self, name), urlsplit(url).hostname not in _LOOPBACK
            if foreign and given < least:
                raise SanspecError(
                    f"config: key 'acquire.{name}': {given} s is too often for SDSS; allowed: {least} s and more"
                )
        return self

    @model_validator(mode="after")
    def _ordered(self):
        if self.z_min >= self.z_max:
            raise SanspecError(
                f"config: key 'acquire.z_min': {self.z_min} must be below acquire.z_max ({self.z_max})"
            )
        return self
