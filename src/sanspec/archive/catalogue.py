"""The catalogue by whichever service the settings and the credentials allow, as blocks of rows."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from sqlalchemy import Engine

from sanspec.archive import answers, casjobs, credentials
from sanspec.archive.casjobs import Desk, Ids, Service
from sanspec.archive.casjobs_rest import RestCasJobs
from sanspec.archive.casjobs_soap import SoapCasJobs
from sanspec.archive.session import Refused, Session
from sanspec.archive.skyserver import SkyServer
from sanspec.config import Acquire
from sanspec.database import query
from sanspec.database.query import TABLE
from sanspec.errors import SanspecError

log = logging.getLogger(__name__)


def choose(settings: Acquire) -> str:
    """casjobs, casjobs_soap or skyserver: what is asked for, or what there are credentials for."""
    if settings.service != "auto":
        return settings.service
    if credentials.find("sciserver"):
        return "casjobs"
    return "casjobs_soap" if credentials.find("casjobs") else "skyserver"


def rows(
    session: Session, engine: Engine, settings: Acquire, pairs: Ids, columns: tuple[str, ...]
) -> Iterator[pd.DataFrame]:
    """Rows that pass either form of the query, of the objects in `pairs` (none: of all), in blocks.

    columns: names of the ids in `pairs`. Raises SanspecError where the service cannot be had.
    """
    service = choose(settings)
    log.info("the catalogue comes from %s", service)
    try:
        if service == "skyserver":
            yield from _anonymous(session, settings, pairs)
        else:
            yield from by_job(_service(service, session, settings), session, engine, settings, pairs, columns)
    except Refused as fault:
        raise casjobs.as_user_fault(fault, service) from None


def _service(name: str, session: Session, settings: Acquire) -> Service:
    """CasJobs in one of its forms. Raises SanspecError where there are no credentials for it."""
    kind, client = {"casjobs": ("sciserver", RestCasJobs), "casjobs_soap": ("casjobs", SoapCasJobs)}[name]
    found = credentials.find(kind)
    if found is None:
        word = credentials.SERVICES[kind][0]
        raise SanspecError(
            f"acquire.service is {name}, but there are no credentials: set SANSPEC_{kind.upper()}_{word} and "
            f"SANSPEC_{kind.upper()}_PASSWORD, or acquire.service: skyserver"
        )
    return client(session, settings, found)


def by_job(
    service: Service,
    session: Session,
    engine: Engine,
    settings: Acquire,
    pairs: Ids,
    columns: tuple[str, ...],
) -> Iterator[pd.DataFrame]:
    """Upload, submit, wait, fetch."""
    desk = Desk(service, session, engine, settings)
    sample = None
    if len(pairs):
        sample = casjobs.name_table(settings, "list", casjobs.digest_ids(pairs))
        desk.ensure_uploaded(sample, pairs, columns)
    text = query.render("{table}", sample, settings.z_min, settings.z_max, best="objID" not in columns)
    table = casjobs.name_table(settings, "query", text)
    desk.ensure_made(table, text.replace("{table}", table))
    folder = settings.store / "catalogue" / table
    count, found = service.count(table), 0
    for path in service.fetch(table, folder):  # whole before the first row is handed on
        with path.open(newline="") as file:
            for block in answers.read(file, TABLE):
                found += len(block)
                yield block
    if found < count:
        raise SanspecError(
            f"CasJobs: {found} of {count} rows of MyDB.{table} arrived: remove {folder} and run again"
        )


def _anonymous(session: Session, settings: Acquire, pairs: Ids) -> Iterator[pd.DataFrame]:
    """Slice by slice; the list is applied here, as only CasJobs takes one."""
    wanted = np.asarray([pair[0] for pair in pairs], dtype=np.uint64)
    parts = (settings.services.skyserver, f"{settings.z_min}-{settings.z_max}", ",".join(query.NAMES))
    folder = settings.store / "catalogue" / casjobs.name_table(settings, "slices", *parts)
    skyserver = SkyServer(session, settings)
    for part in skyserver.fetch(folder):
        block = skyserver.slice(part, folder)
        good = [query.passes(block, form, settings.z_min, settings.z_max) for form in query.FORMS]
        use = good[0] | good[1]
        if len(pairs):
            use &= np.isin(block["specObjID"].to_numpy(np.uint64), wanted)
        yield block[use].reset_index(drop=True)


@dataclass
class Chooser:
    """Rows of one form of the query, each object once, and how the two forms differ."""

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
            fresh = np.array([self._is_new(int(key)) for key in block["specObjID"]], dtype=bool)
            self.counts["repeated"] += int((~fresh).sum())
            block = block[fresh]
            good = {form: query.passes(block, form, self.z_min, self.z_max) for form in query.FORMS}
            for form, passed in good.items():
                self.counts[form] += int(passed.sum())
            self.counts["both"] += int((good["as_printed"] & good["corrected"]).sum())
            yield block[good[self.form]]

    def _is_new(self, key: int) -> bool:
        """Whether an id comes up for the first time."""
        known = key in self._seen
        self._seen.add(key)
        return not known

    def report(self) -> dict[str, int]:
        """Objects by form, and those that only one form has."""
        both = self.counts["both"]
        only = {f"only_{form}": self.counts[form] - both for form in query.FORMS}
        return self.counts | only


def write_csv(path: Path, blocks: Iterable[pd.DataFrame]) -> int:
    """A catalogue as CasJobs writes it: ids in full, integers without a point, NULL as null; its rows."""
    count = 0
    kinds = {column.name: column.kind for column in query.COLUMNS}
    with path.open("w") as file:
        file.write(",".join(query.NAMES) + "\n")
        for block in blocks:
            texts = [[_cell(value, kinds[name]) for value in block[name].tolist()] for name in query.NAMES]
            file.writelines(",".join(row) + "\n" for row in zip(*texts))
            count += len(block)
    return count


def _cell(value, kind: str) -> str:
    """One value."""
    if value is None or value != value or value == "":
        return "" if kind == "text" else "null"
    if kind == "text":
        return f'"{value}"' if "," in value else value
    return str(int(value)) if kind in ("id", "int") else repr(float(value))
