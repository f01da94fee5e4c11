"""Names and passwords of services: from the environment or the keyring, from nowhere else.

No file, argument, address or message holds them.
"""

import os
from dataclasses import dataclass

import keyring
from keyring.errors import KeyringError
from pydantic import SecretStr

from sanspec.errors import SanspecError


@dataclass(frozen=True)
class Credentials:
    """A user and a password; the password prints as stars."""

    user: str
    password: SecretStr

    def redact(self, text: str) -> str:
        """`text` without the password, should a service have echoed it."""
        return text.replace(self.password.get_secret_value(), "***")


SERVICES = {"sciserver": ("USER", "SciServer's user"), "casjobs": ("WSID", "CasJobs' numerical WSID")}


def find(service: str) -> Credentials | None:
    """Credentials of `service`; None where no user is named.

    The user stands in SANSPEC_<SERVICE>_USER (_WSID), the password in SANSPEC_<SERVICE>_PASSWORD or in the
    keyring. Raises SanspecError where a user is named and no password is to be found.
    """
    word, meaning = SERVICES[service]
    prefix = f"SANSPEC_{service.upper()}"
    user = os.environ.get(f"{prefix}_{word}")
    if not user:
        return None
    password = os.environ.get(f"{prefix}_PASSWORD") or _from_keyring(service, user)
    if not password:
        raise SanspecError(
            f"{prefix}_{word} names {meaning}, but there is no password: set {prefix}_PASSWORD, or run "
            f"`keyring set sanspec-{service} {user}`"
        )
    return Credentials(user, SecretStr(password))


def _from_keyring(service: str, user: str) -> str | None:
    """The keyring's password; None where this machine has no keyring."""
    try:
        return keyring.get_password(f"sanspec-{service}", user)
    except KeyringError:
        return None
