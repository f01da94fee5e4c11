"""Where the galaxies come from."""

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from sanspec.config.base import Positive, Section
from sanspec.errors import SanspecError

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Survey(Section):
    """Where the galaxies come from."""

    source: Literal["mock", "files", "sdss"] = Field(
        "mock",
        description="mock: the embedded simulated sky; files: your own, at the three paths below; sdss: fetched to these paths",
    )
    name: str = Field("embedded sky", description="name of the survey on figures and in the report")
    simulated: bool = Field(
        True,
        description="true: every figure, table and page states that its numbers are from a simulated sky",
    )
    cubes: Path = Field(
        Path("results/raw/mock/sdss.npz"),
        description="image cubes in the layout of Pasquet et al. 2019 (.npz)",
    )
    catalogue: Path = Field(
        Path("results/raw/mock/catalogue.csv"), description="catalogue, as CasJobs writes it (.csv)"
    )
    spectra: Path = Field(
        Path("results/raw/mock/spectra"),
        description="folder of spec-lite FITS files, PPPP/spec-PPPP-MMMMM-FFFF.fits",
    )


class Services(Section):
    """Addresses of the services. Credentials are sent only to https addresses, or to this machine."""

    login: str = Field(
        "https://apps.sciserver.org/login-portal/keystone/v3/tokens", description="SciServer's login"
    )
    casjobs: str = Field("https://skyserver.sdss.org/CasJobs/RestApi", description="CasJobs by REST")
    casjobs_soap: str = Field(
        "https://skyserver.sdss.org/casjobs/services/jobs.asmx",
        description="CasJobs by its older HTTP-POST interface",
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
        "https://astrosparcl.datalab.noirlab.edu/api", description="SPARCL, the second source of spectra"
    )
    frames: str = Field(
        "https://data.sdss.org/sas/dr12/boss/photoObj/frames/{rerun}/{run}/{camcol}/"
        "frame-{band}-{run:06d}-{camcol}-{field:04d}.fits.bz2",
        description="calibrated frames; {band}, {rerun}, {run}, {camcol} and {field} are filled in",
    )
    jpeg: str = Field(
        "https://skyserver.sdss.org/dr12/SkyServerWS/ImgCutout/getjpeg", description="colour JPEG cutouts"
    )
    cubes: str | None = Field(
        None, description="address of the cube file; null: acquire.cubes names a local one"
    )


class Http(Section):
    """How fast and how patiently the services are asked."""

    contact: str | None = Field(
        None, pattern=r"^[^@\s]+@[^@\s]+$", description="your e-mail address, sent to every service"
    )
    connections: int = Field(4, ge=1, le=8, description="simultaneous connections")
    rate: Positive = Field(20.0, description="maximum number of requests per second")
    read_timeout: Positive = Field(60.0, description="a request fails after this time without data [s]")
    attempts: int = Field(6, ge=1, le=20, description="maximum number of tries per request")
    backoff: Positive = Field(
        5.0, description="wait before the second try; doubles with each further one, +-50 % at random [s]"
    )


class Acquire(Section):
    """The real survey: what is fetched from SDSS, from where, and to where."""

    release: str = Field("DR12", pattern="^DR[0-9]+$", description="data release (CasJobs context)")
    form: Literal["corrected", "as_printed"] = Field(
        "corrected",
        description="query of Appendix B of Doorenbos et al. 2024, as_printed or with its BAD_COUNTS_ERROR mask corrected",
    )
    z_min: float = Field(0.05, ge=0, description="minimum redshift, inclusive")
    z_max: float = Field(0.15, gt=0, description="maximum redshift, inclusive")
    sample: Literal["cubes", "all"] = Field(
        "cubes", description="cubes: the objects of the cube file; all: every object that passes the query"
    )
    service: Literal["auto", "casjobs", "casjobs_soap", "skyserver"] = Field(
        "auto",
        description="where the catalogue comes from; auto: CasJobs if there are credentials, else SkyServer anonymously",
    )
    store: Path = Field(
        Path("results/raw/sdss/store"),
        description="folder of everything fetched; kept between runs, never deleted",
    )
    database: str = Field(
        "sqlite:///results/raw/sdss/survey.db",
        description="catalogue and download records: sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME, without password",
    )
    prefix: str = Field(
        "sanspec",
        pattern="^[A-Za-z][A-Za-z0-9_]{0,30}$",
        description="our tables in MyDB have names that begin with this",
    )
    replace: bool = Field(
        False, description="drop tables in MyDB that have our names but are not in our database"
    )
    poll: Positive = Field(
        5.0,
        description="wait before asking again about a CasJobs job; grows by half each time, up to 60 s [s]",
    )
    query_interval: Positive = Field(
        1.1, description="time between anonymous queries, of which SkyServer allows 60 per minute [s]"
    )
    sources: tuple[Literal["sas", "sparcl"], ...] = Field(
        ("sas",),
        min_length=1,
        description="where spectra come from; each further one is asked for what the previous ones lack",
    )
    sparcl_release: str = Field("SDSS-DR17", description="SPARCL's data set")
    tolerate_failed: float = Field(
        0.01,
        ge=0,
        le=1,
        description="maximum fraction of spectra that may fail without stopping the run",
    )
    pack: bool = Field(
        False, description="pack the spectra of each plate into one HDF5 file and delete the FITS files"
    )
    cubes: Path | None = Field(None, description="local cube file (sdss.npz); null: fetch services.cubes")
    cubes_sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="expected checksum of the cube file; null: reported but not compared",
    )
    services: Services = Services()
    http: Http = Http()

    @field_validator("database")
    @classmethod
    def _no_password(cls, url: str) -> str:
        inside = ":" in url.partition("://")[2].rpartition("@")[0] or "password=" in url.lower()
        if inside:  # the message must not repeat it
            raise SanspecError(
                "config: key 'acquire.database' contains a password; allowed: postgresql+psycopg://USER@HOST/NAME; "
                "put the password into ~/.pgpass or the environment (PGPASSWORD)"
            )
        return url

    @model_validator(mode="after")
    def _polite(self):
        limits = (("poll", 5.0, self.services.casjobs), ("query_interval", 1.0, self.services.skyserver))
        for name, minimum, url in limits:
            given, remote = getattr(self, name), urlsplit(url).hostname not in LOOPBACK
            if remote and given < minimum:
                raise SanspecError(
                    f"config: key 'acquire.{name}': {given} s is too often for SDSS; allowed: {minimum} s or more"
                )
        return self

    @model_validator(mode="after")
    def _ordered(self):
        if self.z_min >= self.z_max:
            raise SanspecError(
                f"config: key 'acquire.z_min': {self.z_min} must be below acquire.z_max ({self.z_max})"
            )
        return self
