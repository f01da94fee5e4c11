"""The catalogue from the service that the settings and the credentials allow, as blocks of rows."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from sqlalchemy import Engine

from sanspec.archive import credentials
from sanspec.archive.casjobs import Ids
from sanspec.archive.casjobs_rest import RestCasJobs
from sanspec.archive.casjobs_run import CasJobsRun, name_table
from sanspec.archive.casjobs_soap import SoapCasJobs
from sanspec.archive.session import Refused, Session
from sanspec.archive.skyserver import SkyServer
from sanspec.config import Acquire
from sanspec.database import query
from sanspec.errors import SanspecError

log = logging.getLogger(__name__)

_CASJOBS = {"casjobs": ("sciserver", RestCasJobs), "casjobs_soap": ("casjobs", SoapCasJobs)}


def choose(settings: Acquire) -> str:
    """casjobs, casjobs_soap or skyserver: the one in the settings, or one for which there are credentials."""
    if settings.service != "auto":
        return settings.service
    return next((name for name, (kind, _) in _CASJOBS.items() if credentials.find(kind)), "skyserver")


def rows(
    session: Session, engine: Engine, settings: Acquire, pairs: Ids, columns: tuple[str, ...]
) -> Iterator[pd.DataFrame]:
    """Rows that pass either form of the query, of the objects in `pairs` (empty: of all), in blocks.

    columns: names of the ids in `pairs`. Raises SanspecError where the service is unavailable or lacks credentials.
    """
    service = choose(settings)
    log.info("the catalogue comes from %s", service)
    try:
        if service == "skyserver":
            yield from _anonymous(session, settings, pairs)
            return
        kind, client = _CASJOBS[service]
        found = credentials.find(kind)
        if found is None:
            prefix = f"SANSPEC_{kind.upper()}"
            raise SanspecError(
                f"acquire.service is {service}, but there are no credentials: set "
                f"{prefix}_{credentials.SERVICES[kind][0]} and {prefix}_PASSWORD, or acquire.service: skyserver"
            )
        yield from CasJobsRun(client(session, settings, found), engine, settings).rows(pairs, columns)
    except Refused as fault:
        raise fault.explain(service) from None


def _anonymous(session: Session, settings: Acquire, pairs: Ids) -> Iterator[pd.DataFrame]:
    """Rows from SkyServer, plate range by plate range; the list is applied here, since only CasJobs accepts one."""
    wanted = np.asarray([pair[0] for pair in pairs], dtype=np.uint64)
    parts = (settings.services.skyserver, f"{settings.z_min}-{settings.z_max}", ",".join(query.NAMES))
    folder = settings.store / "catalogue" / name_table(settings, "slices", *parts)
    skyserver = SkyServer(session, settings)
    for plates in skyserver.fetch(folder):
        block = skyserver.slice(plates, folder)
        use = np.zeros(len(block), bool)
        for form in query.FORMS:
            use |= query.passes(block, form, settings.z_min, settings.z_max)
        if len(pairs):
            use &= np.isin(block["specObjID"].to_numpy(np.uint64), wanted)
        yield block[use].reset_index(drop=True)


@dataclass
class Chooser:
    """Selects the rows of one form of the query, each object once, and counts how the two forms differ."""

    form: str
    z_min: float
    z_max: float
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("as_printed", "corrected", "both", "repeated"), 0)
    )
    _seen: set[int] = field(default_factory=set)

    def choose(self, blocks: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """The rows of `form`."""
        for block in blocks:
            fresh = np.zeros(len(block), bool)
            for at, key in enumerate(block["specObjID"].tolist()):
                fresh[at] = key not in self._seen
                self._seen.add(key)
            self.counts["repeated"] += int((~fresh).sum())
            block = block[fresh]
            good = {form: query.passes(block, form, self.z_min, self.z_max) for form in query.FORMS}
            for form, passed in good.items():
                self.counts[form] += int(passed.sum())
            self.counts["both"] += int((good["as_printed"] & good["corrected"]).sum())
            yield block[good[self.form]]

    def report(self) -> dict[str, int]:
        """Numbers of objects by form, and of those that only one form has."""
        both = self.counts["both"]
        return self.counts | {f"only_{form}": self.counts[form] - both for form in query.FORMS}


def write_csv(path: Path, blocks: Iterable[pd.DataFrame]) -> int:
    """Write a catalogue as CasJobs does, with exact ids, whole integers, and NULL as null; the number of rows."""
    whole = {"id": "UInt64", "int": "Int64"}
    kinds = {c.name: whole[c.kind] for c in query.COLUMNS if c.kind in whole}
    texts = [column.name for column in query.COLUMNS if column.kind == "text"]
    count = 0
    with path.open("w") as file:
        file.write(",".join(query.NAMES) + "\n")
        for block in blocks:
            block = block[list(query.NAMES)].astype(kinds)
            block[texts] = block[texts].fillna("")
            block.to_csv(file, header=False, index=False, na_rep="null")
            count += len(block)
    return count
