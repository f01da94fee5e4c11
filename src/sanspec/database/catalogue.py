"""The database: the catalogue, the manifest of downloads and the jobs under way (SQLAlchemy 2).

SQLite by default, PostgreSQL by URL. A database of another schema version is refused.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import pandas as pd
from sqlalchemy import (
    BigInteger,
    Double,
    Engine,
    Index,
    String,
    Text,
    TypeDecorator,
    create_engine,
    delete,
    event,
    func,
    insert,
    inspect,
    select,
    type_coerce,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sanspec.database.query import COLUMNS, NAMES
from sanspec.errors import SanspecError

SCHEMA = 1
STATES = ("pending", "done", "missing", "failed")


class UInt64(TypeDecorator):
    """An unsigned 64-bit integer in a signed column: ids of 2**63 and above are kept as id - 2**64.

    Ids of the SDSS spectrographs are below 2**63 and stored unchanged. The order of the column is not the order
    of the ids: compare for equality only.
    """

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value, dialect) -> int | None:
        """To the signed column. Raises ValueError unless the value is an unsigned 64-bit integer."""
        if value is None:
            return None
        number = int(value)
        if isinstance(value, float | bool | str) or not 0 <= number < 1 << 64:
            raise ValueError(f"{value!r} is not an unsigned 64-bit integer")
        return number - (1 << 64) if number >= 1 << 63 else number

    def process_result_value(self, value, dialect) -> int | None:
        """From the signed column."""
        return None if value is None else int(value) % (1 << 64)


class Base(DeclarativeBase):
    """Tables of the survey's database."""


class Meta(Base):
    """Facts about the database, one per row; `schema` is its version."""

    __tablename__ = "meta"
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class Galaxy(Base):
    """One row of the catalogue; the query's columns are added below, in lower case."""

    __tablename__ = "galaxy"
    row: Mapped[int] = mapped_column(primary_key=True, comment="position in the catalogue, from 1")


_ID_COLUMNS = {column.name: "uint64" for column in COLUMNS if column.kind == "id"}
_KINDS = {"id": UInt64, "int": Double, "real": Double, "text": Text}
for _column in COLUMNS:
    setattr(Galaxy, _column.name.lower(), mapped_column(_KINDS[_column.kind](), nullable=True))
Index("galaxy_specobjid", Galaxy.specobjid, unique=True)


class Download(Base):
    """One spectrum to download, and the outcome."""

    __tablename__ = "download"
    row: Mapped[int] = mapped_column(primary_key=True, comment="order of the manifest, from 1")
    specobjid: Mapped[int] = mapped_column(UInt64, unique=True)
    objid: Mapped[int] = mapped_column(UInt64)
    state: Mapped[str] = mapped_column(String(8), index=True, default="pending", comment="one of STATES")
    source: Mapped[str] = mapped_column(String(16), default="", comment="sas or sparcl")
    attempts: Mapped[int] = mapped_column(default=0, comment="requests made, over all runs")
    bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    sha256: Mapped[str] = mapped_column(String(64), default="")
    reason: Mapped[str] = mapped_column(Text, default="", comment="why it is missing or failed")
    updated: Mapped[str] = mapped_column(String(25), default="", comment="UTC, ISO 8601")


class Job(Base):
    """One request to CasJobs, which may outlive the process: it is recorded before it is sent."""

    __tablename__ = "job"
    name: Mapped[str] = mapped_column(String(80), primary_key=True, comment="our name, also known to CasJobs")
    purpose: Mapped[str] = mapped_column(String(16), comment="upload or query or extract")
    mytable: Mapped[str] = mapped_column(String(80), comment="table in MyDB that it makes or reads")
    remote: Mapped[int | None] = mapped_column(BigInteger, comment="CasJobs' id; NULL until it has answered")
    state: Mapped[str] = mapped_column(
        String(12), default="intended", comment="intended, sent, finished or failed"
    )
    message: Mapped[str] = mapped_column(Text, default="")
    updated: Mapped[str] = mapped_column(String(25), default="")


def now() -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


# --------------------------------------------------------------------------------------------------- database


def exists(url: str) -> bool:
    """Whether there is a database at `url`; assumed on a server."""
    with _explained(url):
        place = make_url(url)
    return place.get_backend_name() != "sqlite" or Path(place.database or "").is_file()


@contextmanager
def database(url: str) -> Iterator[Engine]:
    """The database at `url`, whose tables are made if it is empty.

    Raises SanspecError (one line, no password) when it cannot be reached or has another schema version.
    """
    with _explained(url, OSError, ImportError):
        engine = _engine(url)
    try:
        with _explained(url):
            _check_schema(engine)
            yield engine
    finally:
        engine.dispose()


@contextmanager
def _explained(url: str, *more: type[Exception]) -> Iterator[None]:
    """Report errors of the database, and those of the types in `more`, as a SanspecError of one line."""
    try:
        yield
    except (SQLAlchemyError, *more) as fault:
        words = " ".join(str(getattr(fault, "orig", None) or fault).split())[:300]
        if isinstance(fault, ImportError):
            words = f"this kind of database needs a driver: pip install 'sanspec[postgres]' ({words})"
        try:
            shown = make_url(url).render_as_string(hide_password=True)
        except ArgumentError:
            shown = "(not a URL)"
        raise SanspecError(
            f"acquire.database {shown}: {words}; allowed: sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME"
        ) from None


def _engine(url: str) -> Engine:
    """An engine; SQLite in WAL mode, waiting for other processes that write."""
    place = make_url(url)
    if place.get_backend_name() not in ("sqlite", "postgresql"):
        raise ArgumentError("unknown kind of database")
    if place.get_backend_name() == "sqlite" and place.database:
        Path(place.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(place)

    def prepare(connection, record) -> None:
        """Durable enough against a killed process, and readable while it is written."""
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=30000", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", prepare)
    return engine


def _check_schema(engine: Engine) -> None:
    """Make the tables of an empty database. Raises SanspecError where it has another schema."""
    tables = set(inspect(engine).get_table_names())
    if not tables & set(Base.metadata.tables):
        Base.metadata.create_all(engine)
        with engine.begin() as connection:
            connection.execute(insert(Meta), [{"name": "schema", "value": str(SCHEMA)}])
        return
    found = None
    if "meta" in tables:
        with engine.connect() as connection:
            found = connection.scalar(select(Meta.value).where(Meta.name == "schema"))
    if found != str(SCHEMA):
        shown = engine.url.render_as_string(hide_password=True)
        raise SanspecError(
            f"acquire.database {shown} is of schema {found or 'none'}, this version needs {SCHEMA}: "
            "name another database; the spectra in the store will be used again"
        )


# -------------------------------------------------------------------------------------------------- catalogue


def replace_catalogue(engine: Engine, blocks: Iterable[pd.DataFrame]) -> int:
    """Replace the catalogue by the rows of `blocks`, all or none; return their number.

    blocks: columns as the query names them (`sanspec.database.query.COLUMNS`). Without rows nothing changes.
    """
    blocks, count = iter(blocks), 0
    first = next(blocks, None)  # the generator may itself write to the database first
    with engine.begin() as connection:
        connection.execute(delete(Galaxy))
        for block in chain([] if first is None else [first], blocks):
            plain = (
                block[list(NAMES)].rename(columns=str.lower).astype(object)
            )  # Python's own integers and floats
            plain = plain.where(plain.notna(), None).assign(row=range(count + 1, count + 1 + len(block)))
            if len(plain):
                connection.execute(insert(Galaxy), plain.to_dict("records"))
            count += len(plain)
        if not count:
            connection.rollback()
    return count


def read_catalogue(engine: Engine, block: int = 2000) -> Iterator[pd.DataFrame]:
    """The catalogue in blocks, in the order of specObjID (below 2**63), columns as the query names them."""
    wanted = [getattr(Galaxy, name.lower()).label(name) for name in NAMES]
    key = type_coerce(Galaxy.specobjid, BigInteger)
    first = chosen = select(key.label("key"), *wanted).order_by(key).limit(block)
    while True:
        with engine.connect() as connection:
            rows = connection.execute(chosen).all()
        if not rows:
            return
        chosen = first.where(key > rows[-1].key)
        yield pd.DataFrame([row[1:] for row in rows], columns=list(NAMES)).astype(_ID_COLUMNS)


def count_catalogue(engine: Engine) -> int:
    """Number of galaxies in the catalogue."""
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(Galaxy))


def read_meta(engine: Engine, name: str) -> str | None:
    """A fact about the database."""
    with engine.connect() as connection:
        return connection.scalar(select(Meta.value).where(Meta.name == name))


def write_meta(engine: Engine, name: str, value: str) -> None:
    """Record a fact about the database."""
    with engine.begin() as connection:
        connection.execute(delete(Meta).where(Meta.name == name))
        connection.execute(insert(Meta).values(name=name, value=value))
