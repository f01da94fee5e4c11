"""Deliberate faults: scripted one by one, or a random fraction of all requests."""

import hashlib
import threading
from collections import Counter
from dataclasses import dataclass

ANY = ("429", "503", "500", "html", "truncated", "hang", "hang_body", "reset")
KINDS: dict[str, tuple[str, ...]] = {
    "spectrum": (*ANY, "404", "short", "other_object", "bad_tdim"),
    "sql": (*ANY, "throttle", "short"),
    "login": ("503", "reset"),
    "query": (*ANY, "401", "short"),
    "submit": ("429", "503", "401", "hang", "reset"),
    "status": ("429", "503", "401", "reset", "lost_job"),
    "tables": ("503", "401", "reset"),
    "upload": ("503", "401", "reset"),
    "output": (*ANY, "404", "short"),
    "soap": ("503", "reset"),
    "cubes": (*ANY, "short"),
    "frame": (*ANY, "404", "short"),
    "jpeg": (*ANY,),
    "sparcl": (*ANY,),
}


@dataclass
class Scripted:
    """A fault for the next `times` requests of `route` that contain `key` in their path."""

    route: str
    kind: str
    times: int = 1
    key: str = ""


class Faults:
    """Which requests fail, and how: the scripted ones first, then a fraction `rate` of all.

    Whether a request fails depends only on (seed, route, key, attempt), so that a run can be repeated.
    """

    def __init__(self, rate: float = 0.0, seed: int = 0):
        self.rate, self.seed = rate, seed
        self.script: list[Scripted] = []
        self.attempts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def add(self, route: str, kind: str, times: int = 1, key: str = "") -> None:
        """Script a fault."""
        self.script.append(Scripted(route, kind, times, key))

    def draw(self, route: str, key: str) -> str | None:
        """The fault of this request, or None."""
        with self._lock:
            self.attempts[route, key] += 1
            for scripted in self.script:
                if scripted.route == route and scripted.times > 0 and scripted.key in key:
                    scripted.times -= 1
                    return scripted.kind
            return self._by_chance(route, key, self.attempts[route, key])

    def _by_chance(self, route: str, key: str, attempt: int) -> str | None:
        """The random fault of this attempt, or None."""
        kinds = KINDS.get(route, ())
        if not self.rate or not kinds:
            return None
        words = hashlib.sha256(f"{self.seed}/{route}/{key}/{attempt}".encode()).digest()
        chance = int.from_bytes(words[:8], "big") / 2**64
        return kinds[int.from_bytes(words[8:12], "big") % len(kinds)] if chance < self.rate else None
