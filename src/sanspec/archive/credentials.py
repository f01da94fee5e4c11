"""User names and passwords for services, from the environment or the keyring only.

No file, command line, address or message contains them.
"""

import os
from contextlib import suppress
from dataclasses import dataclass

import keyring
from keyring.errors import KeyringError
from pydantic import SecretStr

from sanspec.errors import SanspecError


@dataclass(frozen=True)
class Credentials:
    """A user and a password, which prints as stars."""

    user: str
    password: SecretStr

    def redact(self, text: str) -> str:
        """`text` without the password, in case a service has echoed it."""
        return text.replace(self.password.get_secret_value(), "***")


SERVICES = {"sciserver": ("USER", "SciServer's user"), "casjobs": ("WSID", "CasJobs' numerical WSID")}


def find(service: str) -> Credentials | None:
    """Credentials for `service`; None where no user is given.

    The user is read from SANSPEC_<SERVICE>_USER (_WSID), the password from SANSPEC_<SERVICE>_PASSWORD or the keyring.
    Raises SanspecError where there is a user but no password.
    """
    word, meaning = SERVICES[service]
    prefix = f"SANSPEC_{service.upper()}"
    user = os.environ.get(f"{prefix}_{word}")
    if not user:
        return None
    password = os.environ.get(f"{prefix}_PASSWORD")
    if not password:
        with suppress(KeyringError):  # this machine may have no keyring
            password = keyring.get_password(f"sanspec-{service}", user)
    if not password:
        raise SanspecError(
            f"{prefix}_{word} names {meaning}, but there is no password: set {prefix}_PASSWORD, or run "
            f"`keyring set sanspec-{service} {user}`"
        )
    return Credentials(user, SecretStr(password))
