"""The loopback SDSS put together: every service over one sky, on one port."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from loopback import files, sky
from loopback.casjobs import CasJobs
from loopback.faults import Faults
from loopback.images import Images
from loopback.server import Loopback
from loopback.sparcl import Sparcl
from loopback.sql import SkyServer
from loopback.tsql import Database

USERS = {"demo": "demo", "1234567": "demo"}  # name and WSID of the demonstration account


@dataclass
class Survey:
    """A running loopback SDSS and its parts, which tests inspect and adjust."""

    server: Loopback
    database: Database
    casjobs: CasJobs
    skyserver: SkyServer

    @property
    def base(self) -> str:
        """Its address."""
        return self.server.base

    @property
    def faults(self) -> Faults:
        """Its faults."""
        return self.server.faults


def services(base: str) -> dict[str, str]:
    """`acquire.services` of a loopback SDSS at `base`."""
    spectra = "{run2d}/spectra/lite/{plate:04d}/spec-{plate:04d}-{mjd}-{fiberid:04d}.fits"
    frames = "{rerun}/{run}/{camcol}/frame-{band}-{run:06d}-{camcol}-{field:04d}.fits.bz2"
    return {
        "login": f"{base}/login-portal/keystone/v3/tokens",
        "casjobs": f"{base}/CasJobs/RestApi",
        "casjobs_soap": f"{base}/casjobs/services/jobs.asmx",
        "skyserver": f"{base}/dr12/SkyServerWS/SearchTools/SqlSearch",
        "spectra": f"{base}/sas/dr12/sdss/spectro/redux/{spectra}",
        "sparcl": f"{base}/sparcl/api",
        "frames": f"{base}/sas/dr12/boss/photoObj/frames/{frames}",
        "jpeg": f"{base}/dr12/SkyServerWS/ImgCutout/getjpeg",
        "cubes": f"{base}/cubes/sdss.npz",
    }


@contextmanager
def opened(
    folder: Path,
    more: tuple[Path, ...] = (),
    faults: Faults | None = None,
    port: int = 0,
    latency: float = 0.0,
    users: dict[str, str] | None = None,
) -> Iterator[Survey]:
    """A loopback SDSS over the sky in `folder` (and spectra in `more`), not yet serving.

    Raises SanspecError where the folder holds no sky.
    """
    heaven = sky.Sky(Path(folder), tuple(more))
    with TemporaryDirectory(prefix="loopback-") as scratch:
        path = Path(scratch) / "skyserver.sqlite"
        sky.build_database(heaven, path)
        database = Database(path)
        casjobs = CasJobs(database, Path(scratch), users or USERS)
        skyserver, spectra = SkyServer(database), files.Files(heaven)
        parts = (casjobs, skyserver, spectra, Images(heaven), Sparcl(heaven))
        routes = [route for part in parts for route in part.routes()]
        server = Loopback(routes, faults, port, latency)
        server.altered = {
            "other_object": spectra.other_object,
            "bad_tdim": files.bad_tdim,
            "all_nan": files.spoil_values,
        }
        yield Survey(server, database, casjobs, skyserver)
