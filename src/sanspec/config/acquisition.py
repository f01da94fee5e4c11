"""Where the galaxies come from."""

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from sanspec.config.base import Fraction, NotNegative, Positive, Section
from sanspec.errors import SanspecError

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Survey(Section):
    """Where the galaxies come from."""

    source: Literal["mock", "files", "sdss"] = "mock"
    """mock: the embedded simulated sky; files: your own, at the three paths below; sdss: fetched to these paths"""
    name: str = "embedded sky"
    """name of the survey on figures and in the report"""
    simulated: bool = True
    """true: every figure, table and page states that its numbers are from a simulated sky"""
    cubes: Path = Path("results/raw/mock/sdss.npz")
    """image cubes in the layout of Pasquet et al. 2019 (.npz)"""
    catalogue: Path = Path("results/raw/mock/catalogue.csv")
    """catalogue, as CasJobs writes it (.csv)"""
    spectra: Path = Path("results/raw/mock/spectra")
    """folder of spec-lite FITS files, PPPP/spec-PPPP-MMMMM-FFFF.fits"""


class Services(Section):
    """Addresses of the services. Credentials are sent only to https addresses, or to this machine."""

    login: str = "https://apps.sciserver.org/login-portal/keystone/v3/tokens"
    """SciServer's login"""
    casjobs: str = "https://skyserver.sdss.org/CasJobs/RestApi"
    """CasJobs by REST"""
    casjobs_soap: str = "https://skyserver.sdss.org/casjobs/services/jobs.asmx"
    """CasJobs by its older HTTP-POST interface"""
    skyserver: str = "https://skyserver.sdss.org/dr12/SkyServerWS/SearchTools/SqlSearch"
    """anonymous SQL"""
    spectra: str = (
        "https://data.sdss.org/sas/dr12/sdss/spectro/redux/{run2d}/spectra/lite/"
        "{plate:04d}/spec-{plate:04d}-{mjd}-{fiberid:04d}.fits"
    )
    """spec-lite files; {run2d}, {plate}, {mjd} and {fiberid} are filled in"""
    sparcl: str = "https://astrosparcl.datalab.noirlab.edu/api"
    """SPARCL, the second source of spectra"""
    frames: str = (
        "https://data.sdss.org/sas/dr12/boss/photoObj/frames/{rerun}/{run}/{camcol}/"
        "frame-{band}-{run:06d}-{camcol}-{field:04d}.fits.bz2"
    )
    """calibrated frames; {band}, {rerun}, {run}, {camcol} and {field} are filled in"""
    jpeg: str = "https://skyserver.sdss.org/dr12/SkyServerWS/ImgCutout/getjpeg"
    """colour JPEG cutouts"""
    cubes: str | None = None
    """address of the cube file; null: acquire.cubes names a local one"""


class Http(Section):
    """How fast and how patiently the services are asked."""

    contact: str | None = Field(None, pattern=r"^[^@\s]+@[^@\s]+$")
    """your e-mail address, sent to every service"""
    connections: int = Field(4, ge=1, le=8)
    """simultaneous connections"""
    rate: Positive = 20.0
    """maximum number of requests per second"""
    read_timeout: Positive = 60.0
    """a request fails after this time without data [s]"""
    attempts: int = Field(6, ge=1, le=20)
    """maximum number of tries per request"""
    backoff: Positive = 5.0
    """wait before the second try; doubles with each further one, +-50 % at random [s]"""


class Acquire(Section):
    """The real survey: what is fetched from SDSS, from where, and to where."""

    release: str = Field("DR12", pattern="^DR[0-9]+$")
    """data release (CasJobs context)"""
    form: Literal["corrected", "as_printed"] = "corrected"
    """query of Appendix B of Doorenbos et al. 2024, as_printed or with its BAD_COUNTS_ERROR mask corrected"""
    z_min: NotNegative = 0.05
    """minimum redshift, inclusive"""
    z_max: float = Field(0.15, gt=0)
    """maximum redshift, inclusive"""
    sample: Literal["cubes", "all"] = "cubes"
    """cubes: the objects of the cube file; all: every object that passes the query"""
    service: Literal["auto", "casjobs", "casjobs_soap", "skyserver"] = "auto"
    """where the catalogue comes from; auto: CasJobs if there are credentials, else SkyServer anonymously"""
    store: Path = Path("results/raw/sdss/store")
    """folder of everything fetched; kept between runs, never deleted"""
    database: str = "sqlite:///results/raw/sdss/survey.db"
    """catalogue and download records: sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME, without password"""
    prefix: str = Field("sanspec", pattern="^[A-Za-z][A-Za-z0-9_]{0,30}$")
    """our tables in MyDB have names that begin with this"""
    replace: bool = False
    """drop tables in MyDB that have our names but are not in our database"""
    poll: Positive = 5.0
    """wait before asking again about a CasJobs job; grows by half each time, up to 60 s [s]"""
    query_interval: Positive = 1.1
    """time between anonymous queries, of which SkyServer allows 60 per minute [s]"""
    sources: tuple[Literal["sas", "sparcl"], ...] = Field(("sas",), min_length=1)
    """where spectra come from; each further one is asked for what the previous ones lack"""
    sparcl_release: str = "SDSS-DR17"
    """SPARCL's data set"""
    tolerate_failed: Fraction = 0.01
    """maximum fraction of spectra that may fail without stopping the run"""
    pack: bool = False
    """pack the spectra of each plate into one HDF5 file and delete the FITS files"""
    cubes: Path | None = None
    """local cube file (sdss.npz); null: fetch services.cubes"""
    cubes_sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """expected checksum of the cube file; null: reported but not compared"""
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
