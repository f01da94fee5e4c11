"""The part of SPARCL's API that the client needs: data fields, find, spectra as JSON."""

import json
import uuid

import numpy as np

from loopback.server import Reply, Request, Route
from loopback.sky import Sky
from sanspec.survey import specfile

RELEASE = "SDSS-DR17"
# Public names of the fields, and the service's own.
INTERNAL = {
    "sparcl_id": "uuid", "specid": "specobjid", "data_release": "data_release_id", "redshift": "z",
    "redshift_err": "z_err", "redshift_warning": "zwarning", "spectype": "class",
    "specprimary": "specprimary", "instrument": "instrument", "ra": "plug_ra", "dec": "plug_dec",
    "wavelength": "wavelength", "flux": "flux",
    "ivar": "ivar", "mask": "and_mask", "model": "model", "wave_sigma": "wdisp",
}  # fmt: skip


class Sparcl:
    """Spectra by id, many per request."""

    def __init__(self, sky: Sky):
        self._by_id = {}
        for row in sky.rows():
            path = sky.spectrum(int(row["plate"]), int(row["mjd"]), int(row["fiberID"]))
            if path is not None:
                key = str(uuid.uuid5(uuid.NAMESPACE_OID, row["specObjID"]))
                self._by_id[key] = (int(row["specObjID"]), path)

    def routes(self) -> list[Route]:
        """Its addresses."""
        return [
            Route("sparcl", "GET", "/sparcl/api/datafields/", self.fields),
            Route("sparcl", "POST", "/sparcl/api/find/", self.find),
            Route("sparcl", "POST", "/sparcl/api/spectras/", self.spectra),
        ]

    def fields(self, request: Request) -> Reply:
        """The names of all fields."""
        more = {"storage": "C", "default": True, "all": True}
        return Reply.json(
            [{"data_release": RELEASE, "origdp": o, "newdp": n, **more} for n, o in INTERNAL.items()]
        )

    def find(self, request: Request) -> Reply:
        """The service's ids for specids."""
        wanted = {item[0]: set(item[1:]) for item in json.loads(request.body)["search"]}
        ids = wanted.get(INTERNAL["specid"], set())
        releases = wanted.get(INTERNAL["data_release"], {RELEASE})
        found = [
            key for key, (specobjid, _) in self._by_id.items() if specobjid in ids and RELEASE in releases
        ]
        limit = int(request.query.get("limit", 500))
        return Reply.json(
            [{"status": {"success": True}}, *({"uuid": key, "_dr": RELEASE} for key in found[:limit])]
        )

    def spectra(self, request: Request) -> Reply:
        """The spectra themselves; unreadable ones are left out, with a warning."""
        if request.query.get("format") != "json":
            return Reply.json({"errorMessage": "this server never sends pickles", "errorCode": "BADFMT"}, 400)
        records, warnings = [], []
        for key in json.loads(request.body):
            try:
                specobjid, path = self._by_id[key]
                records.append(_record(key, specobjid, specfile.read(path)))
            except (KeyError, specfile.SanspecError) as fault:
                warnings.append(str(fault))
        return Reply.json([{"status": {"success": True, "warnings": warnings}}, *records])


def _record(key: str, specobjid: int, spectrum: specfile.Spectrum) -> dict:
    """One spectrum with the service's names."""
    about = spectrum.about

    def numbers(values: np.ndarray) -> list:
        """JSON has no NaN."""
        return np.where(np.isfinite(values), values, 0).tolist()

    return {
        "uuid": key, "_dr": RELEASE, "specobjid": specobjid, "z": about.z, "z_err": about.z_err,
        "zwarning": about.zwarning, "class": about.kind, "specprimary": about.specprimary,
        "instrument": about.instrument, "plug_ra": about.ra, "plug_dec": about.dec,
        "wavelength": (10**spectrum.loglam).tolist(), "flux": numbers(spectrum.flux),
        "ivar": numbers(spectrum.ivar), "and_mask": spectrum.and_mask.tolist(),
        "model": numbers(spectrum.flux), "wdisp": numbers(spectrum.wdisp),
    }  # fmt: skip
