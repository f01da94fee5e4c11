"""SkyServer's SQL on SQLite: the words that differ are translated, and errors reworded as SQL Server's."""

import re
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_WRITES = {
    sqlite3.SQLITE_INSERT,
    sqlite3.SQLITE_UPDATE,
    sqlite3.SQLITE_DELETE,
    sqlite3.SQLITE_CREATE_TABLE,
    sqlite3.SQLITE_DROP_TABLE,
}
_NEVER = {sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH, sqlite3.SQLITE_PRAGMA}
_WORDS = (
    (r"no such table: (?:\w+\.)?(\S+)", "Invalid object name '{}'."),
    (r"no such column: (\S+)", "Invalid column name '{}'."),
    (r'near "(.*?)": syntax error', "Incorrect syntax near '{}'."),
    (r"table (\S+) already exists", "There is already an object named '{}' in the database."),
    (r"ambiguous column name: (\S+)", "Ambiguous column name '{}'."),
)
_TABLES = "(SELECT name as TABLE_NAME FROM mydb.sqlite_master WHERE type = 'table') as listed"
QUOTA = (
    "Could not allocate space for object 'dbo.{}' in database 'MyDB' because the 'PRIMARY' filegroup is "
    "full: the quota of your MyDB is used up."
)


class SqlFault(Exception):
    """An error of a query, in SQL Server's words."""


@dataclass
class Rows:
    """An answer: column names and rows; for SELECT INTO only the number of rows."""

    columns: list[str]
    rows: list[tuple]
    count: int = 0

    def csv(self, first: str = "") -> str:
        """The answer as CSV; a repeated column name gets a number, as at SkyServer (z, z1)."""
        names: list[str] = []
        for name in self.columns:
            plain = name.split(":")[0]
            seen = sum(other.rstrip("0123456789").lower() == plain.lower() for other in names)
            names.append(f"{plain}{seen}" if plain.lower() in (other.lower() for other in names) else plain)
        lines = [",".join(names), *(",".join(map(cell, row)) for row in self.rows)]
        return first + "\n".join(lines) + "\n"


@dataclass
class Database:
    """The survey's tables, read-only, and each user's MyDB.

    quota: maximum rows of a MyDB; seconds: maximum run time of one query.
    """

    survey: Path
    quota: int = 10_000_000
    seconds: float = 60.0

    @contextmanager
    def _opened(self, main: str, mydb: Path | None) -> Iterator[sqlite3.Connection]:
        """A connection to `main` with a MyDB attached, closed afterwards. Raises SqlFault."""
        connection = sqlite3.connect(main, uri=True, timeout=30)
        try:
            connection.execute("ATTACH ? AS mydb", (str(mydb) if mydb else ":memory:",))
            with connection:
                yield connection
        except (sqlite3.Error, sqlite3.Warning) as fault:
            raise SqlFault(reworded(str(fault))) from None
        finally:
            connection.close()

    def run(self, text: str, mydb: Path | None = None, limit: int = 1_000_000_000) -> Rows:
        """Run one statement. Raises SqlFault."""
        with self._opened(f"file:{self.survey}?mode=ro", mydb) as connection:
            connection.set_authorizer(_authorise)
            end = time.monotonic() + self.seconds
            connection.set_progress_handler(lambda: time.monotonic() > end, 100_000)
            statement, into = translate(text)
            if into:
                return self._select_into(connection, statement, into)
            cursor = connection.execute(statement)
            rows = cursor.fetchmany(limit)
            return Rows([column[0] for column in cursor.description or ()], rows, len(rows))

    def _select_into(self, connection: sqlite3.Connection, statement: str, into: str) -> Rows:
        """Make a table of MyDB."""
        described = connection.execute(f"SELECT * FROM ({statement}) LIMIT 0").description
        plain = [column[0].split(":")[0] for column in described]
        if twice := next((name for name in plain if plain.count(name) > 1), None):
            raise SqlFault(
                "Column names in each table must be unique. "
                f"Column name '{twice}' in table '{into}' is specified more than once."
            )
        connection.execute(f"CREATE TABLE mydb.{into} AS {statement}")
        return Rows([], [], self._counts(connection, into)[into])

    def upload(
        self, mydb: Path, table: str, columns: list[str], rows: Iterable[list[str]], append: bool = False
    ) -> int:
        """Put rows into a table of a MyDB, a new one unless `append`; its number of rows. Raises SqlFault."""
        with self._opened(":memory:", mydb) as connection:
            if not append:
                kinds = ", ".join(f'"{name}" INTEGER' for name in columns)
                connection.execute(f"CREATE TABLE mydb.{table} ({kinds})")
            marks = ", ".join("?" * len(columns))
            connection.executemany(f"INSERT INTO mydb.{table} VALUES ({marks})", rows)
            return self._counts(connection, table)[table]

    def tables(self, mydb: Path) -> dict[str, int]:
        """Number of rows of every table of a MyDB."""
        with self._opened(":memory:", mydb) as connection:
            return self._counts(connection)

    def _counts(self, connection: sqlite3.Connection, new: str = "") -> dict[str, int]:
        """Number of rows of every table of MyDB. Raises SqlFault where the table `new` makes them exceed the quota."""
        found = connection.execute("SELECT name FROM mydb.sqlite_master WHERE type = 'table'").fetchall()
        counts = {
            name: connection.execute(f'SELECT COUNT(*) FROM mydb."{name}"').fetchone()[0] for (name,) in found
        }
        if new and sum(counts.values()) > self.quota:
            raise SqlFault(QUOTA.format(new))
        return counts


def translate(text: str) -> tuple[str, str | None]:
    """A statement for SQLite, and the MyDB table that it selects INTO (None where there is none)."""
    bare = " ".join(re.sub(r"--[^\n]*|/\*.*?\*/", " ", text, flags=re.S).split()).rstrip("; ")
    if not re.match(r"(select|drop table)\b", bare, re.I):
        raise SqlFault(f"Incorrect syntax near '{bare.split(' ')[0]}'.")
    into = re.search(r"\binto\s+(?:mydb\.)?(\w+)\s+from\b", bare, re.I)
    if into:
        bare = bare[: into.start()] + "FROM " + bare[into.end() :]
    bare = re.sub(r"information_schema\.tables", _TABLES, bare, flags=re.I)
    bare = re.sub(r"\bdrop table (?:mydb\.)?(\w+)", r"DROP TABLE mydb.\1", bare, flags=re.I)
    top = re.match(r"select( distinct)? top \(?(\d+)\)? ", bare, re.I)
    if top:
        bare = f"SELECT{top[1] or ''} {bare[top.end() :]} LIMIT {top[2]}"
    return bare, into[1] if into else None


def reworded(message: str) -> str:
    """SQLite's error message in SQL Server's words."""
    for pattern, words in _WORDS:
        if found := re.search(pattern, message):
            return words.format(found[1])
    if "interrupted" in message:
        return "Execution Timeout Expired. The timeout period elapsed prior to completion of the operation."
    return message


def _authorise(action: int, first, second, place, trigger) -> int:
    """Allow reading everywhere, and writing in MyDB only."""
    if action in _NEVER or (action in _WRITES and place not in ("mydb", "temp")):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def cell(value) -> str:
    """A value as SkyServer prints it: NULL as null, floats as .NET does (6.06623E-06)."""
    if value is None:
        return "null"
    if isinstance(value, float):
        return repr(value).replace("e", "E").removesuffix(".0")
    text = str(value)
    return f'"{text}"' if "," in text else text
