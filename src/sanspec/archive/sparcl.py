"""SPARCL as a second source of spectra: many per request, received as JSON and written as spec-lite files.

`sparclclient` cannot be installed with this chain (it pins numpy < 2.4 and pandas < 2.2) and reads pickles; this
client requests JSON from the same API. SPARCL keeps flux, ivar, mask, model and dispersion, but neither the sky nor
the plate quality.
"""

import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits

from sanspec import store
from sanspec.archive import sas
from sanspec.archive.answers import text_of
from sanspec.archive.sas import Source, Wanted
from sanspec.archive.session import Answer, Refused, Transient
from sanspec.database.manifest import Outcome
from sanspec.errors import SanspecError
from sanspec.survey import sdss
from sanspec.survey.fitsrows import Damaged

_FIELDS = (
    "sparcl_id", "specid", "redshift", "redshift_err", "redshift_warning", "spectype", "specprimary",
    "instrument", "ra", "dec", "wavelength", "flux", "ivar", "mask", "model", "wave_sigma",
)  # fmt: skip


class Sparcl(Source):
    """The SPARCL server."""

    name, batch = "sparcl", 100
    _names: dict[str, str] | None = None

    def _fetch(self, wanted: Sequence[Wanted], folder: Path) -> list[Outcome]:
        """Fetch objects over the network in one answer, one outcome each."""
        try:
            records = {int(one["specid"]): one for one in self._records(wanted) if one["specid"]}
        except Refused as fault:
            return [self._refused(item, fault) for item in wanted]
        return [self._write(item, records.get(item.specobjid), folder) for item in wanted]

    def _write(self, item: Wanted, record: dict | None, folder: Path) -> Outcome:
        """Write one record as a file."""
        if record is None:
            reason = f"not in SPARCL ({self._settings.sparcl_release})"
            return Outcome(item.row, "missing", self.name, 1, reason=reason)
        target = folder / item.file
        part = target.with_name(target.name + ".part")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(as_fits(record, item))
            sas.check(part, item)
        except (Damaged, KeyError, ValueError, TypeError) as fault:
            part.unlink(missing_ok=True)
            return Outcome(item.row, "failed", self.name, 1, reason=f"SPARCL: {fault}")
        received = (part.stat().st_size, store.digest(part))
        part.chmod(0o444)
        part.replace(target)
        return Outcome(item.row, "done", self.name, 1, *received)

    # ---------------------------------------------------------------------------------------------------- API

    def _ask(self, method: str, path: str, **options) -> list:
        """A JSON answer. Raises Refused."""

        def read(answer: Answer) -> list:
            """The parsed body."""
            if answer.status != 200:
                raise Refused(f"HTTP {answer.status}: {text_of(answer.body, 120)}", answer.status)
            try:
                return json.loads(answer.body)
            except ValueError:
                raise Transient("not JSON") from None

        return self._session.call(method, f"{self._settings.services.sparcl}{path}", read, **options)

    def _internal(self) -> dict[str, str]:
        """The server's own names of the fields. Raises SanspecError where it does not have our release."""
        if self._names is None:
            known, release = self._ask("GET", "/datafields/"), self._settings.sparcl_release
            names = {item["newdp"]: item["origdp"] for item in known if item["data_release"] == release}
            if lacking := [name for name in _FIELDS if name not in names]:
                has = sorted({item["data_release"] for item in known})
                raise SanspecError(
                    f"acquire.sparcl_release {release!r} lacks {', '.join(lacking)}; SPARCL has: {', '.join(has)}"
                )
            self._names = names
        return self._names

    def _records(self, wanted: Sequence[Wanted]) -> list[dict]:
        """Records of objects, with the public names of the fields."""
        names, release = self._internal(), self._settings.sparcl_release
        search = [
            [names["specid"], *(item.specobjid for item in wanted)],
            [names.get("data_release", "data_release"), release],
        ]
        body = {"outfields": [names["sparcl_id"]], "search": search}
        found = self._ask("POST", f"/find/?limit={2 * len(wanted)}", json=body)[1:]
        ids = [record[names["sparcl_id"]] for record in found]
        if not ids:
            return []
        fields = ",".join(names[name] for name in _FIELDS)
        params = {"include": fields, "format": "json", "dataset_list": release}
        records = self._ask("POST", "/spectras/", params=params, json=ids)[1:]
        return [{name: record.get(names[name]) for name in _FIELDS} for record in records]


# ------------------------------------------------------------------------------------------------------ files


def as_fits(record: dict, item: Wanted) -> bytes:
    """A record as a spec-lite file: COADD, SPECOBJ (as far as SPARCL knows it) and an empty SPZLINE.

    Flux in 1e-17 erg/s/cm2/Angstrom; the wavelengths are rounded to the 1e-4 dex grid; the sky, which SPARCL does not
    keep, is NaN.
    """
    primary, ids = fits.PrimaryHDU(), item.ids
    primary.header["ORIGIN"] = ("SPARCL", "sky and plate quality are not kept there")
    loglam = np.rint(1e4 * np.log10(np.asarray(record["wavelength"], dtype=float))) / 1e4
    mask = np.asarray(record["mask"], dtype=np.int32)
    coadd = (
        ("flux", "E", record["flux"]),
        ("loglam", "E", loglam),
        ("ivar", "E", record["ivar"]),
        ("and_mask", "J", mask),
        ("or_mask", "J", mask),
        ("wdisp", "E", record["wave_sigma"]),
        ("sky", "E", np.full(loglam.size, np.nan)),
        ("model", "E", record["model"]),
    )
    about = (
        ("INSTRUMENT", "4A", [record["instrument"] or ""]),
        ("SPECPRIMARY", "B", [int(record["specprimary"])]),
        ("SPECOBJID", "22A", [f"{item.specobjid:>22d}"]),
        ("BESTOBJID", "19A", [str(item.objid)]),
        ("RUN2D", "8A", [sdss.run_name(ids["run2d"])]),
        ("PLATE", "J", [ids["plate"]]),
        ("MJD", "J", [ids["mjd"]]),
        ("FIBERID", "J", [ids["fiberid"]]),
        ("PLUG_RA", "D", [record["ra"]]),
        ("PLUG_DEC", "D", [record["dec"]]),
        ("CLASS", "6A", [record["spectype"]]),
        ("Z", "E", [record["redshift"]]),
        ("Z_ERR", "E", [record["redshift_err"]]),
        ("ZWARNING", "J", [int(record["redshift_warning"])]),
    )
    lines = (("LINENAME", "13A", np.zeros(0, "S13")),)
    tables = [_table("COADD", coadd), _table("SPECOBJ", about), _table("SPZLINE", lines)]
    file = io.BytesIO()
    fits.HDUList([primary, *tables]).writeto(file)
    return file.getvalue()


def _table(name: str, columns: Iterable[tuple]) -> fits.BinTableHDU:
    """A FITS table of columns, each a name, a FITS format and values."""
    made = [fits.Column(column, form, array=np.asarray(values)) for column, form, values in columns]
    return fits.BinTableHDU.from_columns(made, name=name)
