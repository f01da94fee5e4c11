"""SkyServer's SQL on SQLite: the few words that differ translated, errors worded as SQL Server words them."""

import re
import sqlite3
import time
from collections.abc import Iterable
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
    """A query's error, in SQL Server's words."""


@dataclass
class Rows:
    """An answer: column names and rows; for SELECT INTO the number of rows alone."""

    columns: list[str]
    rows: list[tuple]
    count: int = 0


@dataclass
class Database:
    """The survey's tables, read-only, with one user's MyDB beside them.

    quota: rows that a MyDB may hold; seconds: longest run of one query.
    """

    survey: Path
    quota: int = 10_000_000
    seconds: float = 60.0

    def run(self, text: str, mydb: Path | None = None, limit: int = 1_000_000_000) -> Rows:
        """Run one statement. Raises SqlFault."""
        connection = sqlite3.connect(f"file:{self.survey}?mode=ro", uri=True, timeout=30)
        try:
            connection.execute("ATTACH ? AS mydb", (str(mydb) if mydb else ":memory:",))
            connection.set_authorizer(_authorise)
            end = time.monotonic() + self.seconds
            connection.set_progress_handler(lambda: time.monotonic() > end, 100_000)
            with connection:
                return self._run(connection, text, limit)
        except (sqlite3.Error, sqlite3.Warning) as fault:
            raise SqlFault(reworded(str(fault))) from None
        finally:
            connection.close()

    def _run(self, connection: sqlite3.Connection, text: str, limit: int) -> Rows:
        """Run the statement on an open connection."""
        statement, into = translate(text)
        if not into:
            cursor = connection.execute(statement)
            rows = cursor.fetchmany(limit)
            return Rows([column[0] for column in cursor.description or ()], rows, len(rows))
        names = [
            column[0] for column in connection.execute(f"SELECT * FROM ({statement}) LIMIT 0").description
        ]
        plain = [name.split(":")[0] for name in names]
        if twice := next((name for name in plain if plain.count(name) > 1), None):
            raise SqlFault(
                "Column names in each table must be unique. "
                f"Column name '{twice}' in table '{into}' is specified more than once."
            )
        connection.execute(f"CREATE TABLE mydb.{into} AS {statement}")
        self.check_quota(connection, into)
        return Rows([], [], connection.execute(f"SELECT COUNT(*) FROM mydb.{into}").fetchone()[0])

    def upload(
        self, mydb: Path, table: str, columns: list[str], rows: Iterable[list[str]], append: bool = False
    ) -> int:
        """Put rows into a table of a MyDB, a new one unless `append`; its rows. Raises SqlFault."""
        connection = sqlite3.connect(":memory:")
        try:
            connection.execute("ATTACH ? AS mydb", (str(mydb),))
            with connection:
                kinds = ", ".join(f'"{name}" INTEGER' for name in columns)
                if not append:
                    connection.execute(f"CREATE TABLE mydb.{table} ({kinds})")
                marks = ", ".join("?" * len(columns))
                connection.executemany(f"INSERT INTO mydb.{table} VALUES ({marks})", rows)
                self.check_quota(connection, table)
                return connection.execute(f"SELECT COUNT(*) FROM mydb.{table}").fetchone()[0]
        except sqlite3.Error as fault:
            raise SqlFault(reworded(str(fault))) from None
        finally:
            connection.close()

    def tables(self, mydb: Path) -> dict[str, int]:
        """Rows of every table of a MyDB."""
        connection = sqlite3.connect(mydb)
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        counts = {name: connection.execute(f'SELECT COUNT(*) FROM "{name}"').fetchone()[0] for name in names}
        connection.close()
        return counts

    def check_quota(self, connection: sqlite3.Connection, table: str) -> None:
        """Raises SqlFault when MyDB holds more rows than it may."""
        names = [
            row[0] for row in connection.execute("SELECT name FROM mydb.sqlite_master WHERE type = 'table'")
        ]
        held = sum(connection.execute(f'SELECT COUNT(*) FROM mydb."{name}"').fetchone()[0] for name in names)
        if held > self.quota:
            raise SqlFault(QUOTA.format(table))


def translate(text: str) -> tuple[str, str | None]:
    """A statement as SQLite takes it, and the MyDB table that it selects INTO."""
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
    """SQLite's complaint in SQL Server's words."""
    for pattern, words in _WORDS:
        if found := re.search(pattern, message):
            return words.format(found[1])
    if "interrupted" in message:
        return "Execution Timeout Expired. The timeout period elapsed prior to completion of the operation."
    return message


def _authorise(action: int, first, second, place, trigger) -> int:
    """Reading is free; writing is for MyDB."""
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


def as_csv(answer: Rows, first: str = "") -> str:
    """An answer as CSV; a column's name that comes up again gets a number, as at SkyServer (z, z1)."""
    names: list[str] = []
    for name in answer.columns:
        plain = name.split(":")[0]
        seen = sum(other.rstrip("0123456789").lower() == plain.lower() for other in names)
        names.append(f"{plain}{seen}" if plain.lower() in (other.lower() for other in names) else plain)
    lines = [",".join(names), *(",".join(map(cell, row)) for row in answer.rows)]
    return first + "\n".join(lines) + "\n"
