"""The manifest of downloads and their outcomes, and the jobs under way at CasJobs."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from sqlalchemy import Engine, bindparam, delete, func, insert, select, update

from sanspec.database.catalogue import STATES, Download, Galaxy, Job, now


@dataclass(frozen=True)
class Outcome:
    """Outcome of the download of one object: `state` is one of STATES, `attempts` those of this run."""

    row: int
    state: str
    source: str = ""
    attempts: int = 0
    bytes: int = 0
    sha256: str = ""
    reason: str = ""


def list_downloads(engine: Engine) -> int:
    """Make the manifest list the objects of the catalogue and no others, plate by plate; return their number.

    The state of objects already listed is kept.
    """
    listed, known = select(Galaxy.specobjid), select(Download.specobjid)
    with engine.begin() as connection:
        connection.execute(delete(Download).where(Download.specobjid.not_in(listed)))
        last = connection.scalar(select(func.max(Download.row))) or 0
        place = func.row_number().over(order_by=Galaxy.specobjid) + last
        objid = func.coalesce(Galaxy.bestobjid, 0)
        new = select(place, Galaxy.specobjid, objid).where(Galaxy.specobjid.not_in(known))
        connection.execute(insert(Download).from_select(["row", "specobjid", "objid"], new))
        return connection.scalar(select(func.count()).select_from(Download))


def read_downloads(engine: Engine, states: Iterable[str], block: int = 500) -> Iterator[list]:
    """Rows of the manifest in the given states, in blocks.

    Each row has row, specobjid, objid, attempts, state, reason and sha256.
    """
    names = ("row", "specobjid", "objid", "attempts", "state", "reason", "sha256")
    columns = [getattr(Download, name) for name in names]
    states, last = tuple(states), 0
    while True:
        chosen = select(*columns).where(Download.row > last, Download.state.in_(states))
        with engine.connect() as connection:
            rows = connection.execute(chosen.order_by(Download.row).limit(block)).all()
        if not rows:
            return
        last = rows[-1].row
        yield rows


def record_downloads(engine: Engine, outcomes: Iterable[Outcome]) -> None:
    """Record outcomes of downloads; `attempts` are added to those of earlier runs."""
    rows = [{f"new_{key}": value for key, value in asdict(outcome).items()} for outcome in outcomes]
    if not rows:
        return
    names = ("state", "source", "bytes", "sha256", "reason")
    values = {name: bindparam(f"new_{name}") for name in names} | {"updated": now()}
    values["attempts"] = Download.attempts + bindparam("new_attempts")
    table = Download.__table__
    statement = update(table).where(table.c.row == bindparam("new_row")).values(**values)
    with engine.begin() as connection:
        connection.execute(statement, rows)


def count_downloads(engine: Engine) -> dict[str, int]:
    """Number of objects in each state, including states without any."""
    counts = select(Download.state, func.count()).group_by(Download.state)
    with engine.connect() as connection:
        return dict.fromkeys(STATES, 0) | dict(connection.execute(counts).all())


def count_reasons(engine: Engine) -> dict[str, int]:
    """Number of objects that were not downloaded by reason, the most frequent first."""
    chosen = select(Download.reason, func.count()).where(Download.state.in_(("missing", "failed")))
    with engine.connect() as connection:
        rows = connection.execute(chosen.group_by(Download.reason).order_by(func.count().desc()))
        return dict(rows.all())


def sum_bytes(engine: Engine) -> int:
    """Total size of the spectra downloaded [byte]."""
    with engine.connect() as connection:
        return int(connection.scalar(select(func.sum(Download.bytes)).where(Download.state == "done")) or 0)


# ------------------------------------------------------------------------------------------------------- jobs


def read_job(engine: Engine, name: str) -> Job | None:
    """A job by our name for it, detached: changes to it are not written."""
    with engine.connect() as connection:
        row = connection.execute(select(Job).where(Job.name == name)).mappings().one_or_none()
    return None if row is None else Job(**row)


def write_job(engine: Engine, name: str, **values) -> None:
    """Insert or update a job: columns of `Job` by name."""
    values |= {"updated": now()}
    with engine.begin() as connection:
        known = connection.execute(update(Job).where(Job.name == name).values(**values)).rowcount
        if not known:
            connection.execute(insert(Job).values(name=name, **values))


def read_jobs(engine: Engine) -> list[dict]:
    """Every job, oldest change first."""
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(select(Job).order_by(Job.updated)).mappings()]
