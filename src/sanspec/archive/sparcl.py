"""SPARCL as a second source of spectra: many an answer, asked for as JSON, written as files of the same form.

`sparclclient` cannot stand beside this chain (it pins numpy < 2.4 and pandas < 2.2) and reads pickles;
this client asks the same API for JSON. SPARCL keeps flux, ivar, mask, model and dispersion but not the
sky, nor plate quality.
"""

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits

from sanspec.archive import download, sas
from sanspec.archive.answers import text_of
from sanspec.archive.sas import Wanted
from sanspec.archive.session import Refused, Session, Transient
from sanspec.config import Acquire
from sanspec.database.manifest import Outcome
from sanspec.errors import SanspecError
from sanspec.survey import sdss
from sanspec.survey.fitsrows import Damaged

_FIELDS = (
    "sparcl_id", "specid", "redshift", "redshift_err", "redshift_warning", "spectype", "specprimary",
    "instrument", "ra", "dec", "wavelength", "flux", "ivar", "mask", "model", "wave_sigma",
)  # fmt: skip


class Sparcl:
    """The SPARCL server, as a source of spectra."""

    name = "sparcl"

    def __init__(self, session: Session, settings: Acquire):
        self._session, self._base = session, settings.services.sparcl
        self._release, self.batch = settings.sparcl_release, settings.sparcl_batch
        self._names: dict[str, str] | None = None

    def fetch(self, wanted: Sequence[Wanted], folder: Path) -> Iterator[Outcome]:
        """Fetch objects to `folder`, one outcome each."""
        missing = []
        for item in wanted:
            outcome = sas.adopt(item, folder)
            if outcome is None:
                missing.append(item)
            else:
                yield outcome
        if missing:
            yield from self._fetch(missing, folder)

    def _fetch(self, wanted: Sequence[Wanted], folder: Path) -> Iterator[Outcome]:
        """Objects over the network, all in one answer."""
        try:
            records = {int(one["specid"]): one for one in self._records(wanted) if one["specid"]}
        except Refused as fault:
            yield from (sas.refused(item, fault, self.name) for item in wanted)
            return
        for item in wanted:
            yield self._write(item, records.get(item.specobjid), folder)

    def _write(self, item: Wanted, record: dict | None, folder: Path) -> Outcome:
        """One record as a file."""
        if record is None:
            return Outcome(item.row, "missing", self.name, 1, reason=f"not in SPARCL ({self._release})")
        target = folder / item.file
        part = target.with_name(target.name + ".part")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(as_fits(record, item))
            sas.check(part, item)
        except (Damaged, KeyError, ValueError, TypeError) as fault:
            part.unlink(missing_ok=True)
            return Outcome(item.row, "failed", self.name, 1, reason=f"SPARCL: {fault}")
        received = (part.stat().st_size, download.digest(part))
        part.chmod(0o444)
        part.replace(target)
        return Outcome(item.row, "done", self.name, 1, *received)

    # ---------------------------------------------------------------------------------------------------- API

    def _ask(self, method: str, path: str, **options) -> list:
        """A JSON answer. Raises Refused."""

        def once() -> list:
            """One try."""
            answer = self._session.call(method, f"{self._base}{path}", **options)
            if answer.status != 200:
                raise Refused(f"HTTP {answer.status}: {text_of(answer.body, 120)}", answer.status)
            try:
                return json.loads(answer.body)
            except ValueError:
                raise Transient("not JSON") from None

        return self._session.retry(once)

    def _internal(self) -> dict[str, str]:
        """The server's own names of the fields. Raises SanspecError where it does not have our release."""
        if self._names is None:
            known = self._ask("GET", "/datafields/")
            names = {item["newdp"]: item["origdp"] for item in known if item["data_release"] == self._release}
            if lacking := [name for name in _FIELDS if name not in names]:
                has = sorted({item["data_release"] for item in known})
                raise SanspecError(
                    f"acquire.sparcl_release {self._release!r} lacks {', '.join(lacking)}; "
                    f"SPARCL has: {', '.join(has)}"
                )
            self._names = names
        return self._names

    def _records(self, wanted: Sequence[Wanted]) -> list[dict]:
        """Records of objects, with the names that users know."""
        names = self._internal()
        search = [
            [names["specid"], *(item.specobjid for item in wanted)],
            [names["data_release"], self._release]
            if "data_release" in names
            else ["data_release", self._release],
        ]
        body = {"outfields": [names["sparcl_id"]], "search": search}
        found = self._ask("POST", f"/find/?limit={2 * len(wanted)}", json=body)[1:]
        ids = [record[names["sparcl_id"]] for record in found]
        if not ids:
            return []
        fields = ",".join(names[name] for name in _FIELDS)
        params = {"include": fields, "format": "json", "dataset_list": self._release}
        records = self._ask("POST", "/spectras/", params=params, json=ids)[1:]
        return [{name: record.get(names[name]) for name in _FIELDS} for record in records]


# ------------------------------------------------------------------------------------------------------ files


def as_fits(record: dict, item: Wanted) -> bytes:
    """A record as a spec-lite file: COADD, SPECOBJ (what SPARCL tells) and an empty SPZLINE.

    Flux in 1e-17 erg/s/cm2/Angstrom; the wavelengths go back onto the 1e-4 dex grid; the sky, not kept, is
    NaN.
    """
    primary = fits.PrimaryHDU()
    primary.header["ORIGIN"] = ("SPARCL", "sky and plate quality are not kept there")
    lines = fits.BinTableHDU.from_columns(
        [fits.Column("LINENAME", "13A", array=np.zeros(0, "S13"))], name="SPZLINE"
    )
    hdus = fits.HDUList([primary, _coadd(record), _specobj(record, item), lines])
    file = io.BytesIO()
    hdus.writeto(file)
    return file.getvalue()


def _coadd(record: dict) -> fits.BinTableHDU:
    """HDU 1."""
    loglam = np.rint(1e4 * np.log10(np.asarray(record["wavelength"], dtype=float))) / 1e4
    mask = np.asarray(record["mask"], dtype=np.int32)
    columns = {
        "flux": record["flux"], "loglam": loglam, "ivar": record["ivar"], "and_mask": mask, "or_mask": mask,
        "wdisp": record["wave_sigma"], "sky": np.full(loglam.size, np.nan), "model": record["model"],
    }  # fmt: skip
    formats = {"and_mask": "J", "or_mask": "J"}
    made = [
        fits.Column(name, formats.get(name, "E"), array=np.asarray(values))
        for name, values in columns.items()
    ]
    return fits.BinTableHDU.from_columns(made, name="COADD")


def _specobj(record: dict, item: Wanted) -> fits.BinTableHDU:
    """HDU 2."""
    ids = item.ids
    columns = (
        ("INSTRUMENT", "4A", record["instrument"] or ""), ("SPECPRIMARY", "B", int(record["specprimary"])),
        ("SPECOBJID", "22A", f"{item.specobjid:>22d}"), ("BESTOBJID", "19A", str(item.objid)),
        ("RUN2D", "8A", sdss.run_name(ids["run2d"])), ("PLATE", "J", ids["plate"]), ("MJD", "J", ids["mjd"]),
        ("FIBERID", "J", ids["fiberid"]), ("PLUG_RA", "D", record["ra"]), ("PLUG_DEC", "D", record["dec"]),
        ("CLASS", "6A", record["spectype"]), ("Z", "E", record["redshift"]),
        ("Z_ERR", "E", record["redshift_err"]),
        ("ZWARNING", "J", int(record["redshift_warning"])),
    )  # fmt: skip
    made = [fits.Column(name, form, array=np.array([value])) for name, form, value in columns]
    return fits.BinTableHDU.from_columns(made, name="SPECOBJ")
