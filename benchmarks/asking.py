"""One person asking one process, a request after another, with the time each took."""

import http.client
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from api.core.processes import LOOPBACK, CannotRun
from benchmarks.places import ADMIN, PREFIX

TIMEOUT_SECONDS: Final = 120.0
IDLE_SECONDS: Final = 2.0
"""uvicorn closes a connection that rests for five."""
ENOUGH_SECONDS: Final = 3.0
"""A case is not repeated any more when it has taken so long altogether."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and after how many milliseconds."""

    status: int
    content: Any
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Times:
    """The times of one case in milliseconds; ``good`` is false when it was refused or given up."""

    p50: float
    worst: float
    count: int
    good: bool = True


class Asker:
    """One kept connection of one signed-in person."""

    def __init__(self, port: int, token: str = "") -> None:
        self._connection = http.client.HTTPConnection(LOOPBACK, port, timeout=TIMEOUT_SECONDS)
        self.port, self.token, self._last = port, token, 0.0

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """Ask and wait for the whole answer."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        content = None if body is None else json.dumps(body)
        if content is not None:
            headers["Content-Type"] = "application/json"
        if time.perf_counter() - self._last > IDLE_SECONDS:
            self._connection.close()  # before the server does; the next request opens it again
        began = time.perf_counter()
        self._connection.request(method, path, content, headers)
        response = self._connection.getresponse()
        read = response.read()
        self._last = time.perf_counter()
        took = (self._last - began) * 1000
        return Answer(response.status, json.loads(read) if read else None, took)

    def get(self, path: str, **query: Any) -> Answer:
        """Ask for something; lists in ``query`` are repeated parameters."""
        return self.ask("GET", f"{path}?{urlencode(query, doseq=True)}" if query else path)

    def list(self, **query: Any) -> Answer:
        """Ask the product for a list of tickets."""
        return self.get(f"{PREFIX}/tickets", **query)


def signed_in(port: int, account: tuple[str, str] = ADMIN) -> Asker:
    """Return someone who has signed in at the product."""
    name, password = account
    asker = Asker(port)
    answer = asker.ask("POST", f"{PREFIX}/auth/login", {"username": name, "password": password})
    if answer.status != 200:
        raise CannotRun(f"The benchmark could not sign in: {answer.content}")
    asker.token = str(answer.content["access_token"])
    return asker


def repeated(ask: Callable[[], Answer], *, times: int = 15) -> Times:
    """Ask once to warm up and then up to ``times`` times; a slow case less often."""
    first = ask()
    taken = [first.milliseconds] if first.milliseconds > ENOUGH_SECONDS * 1000 / 3 else []
    while len(taken) < times and sum(taken) < ENOUGH_SECONDS * 1000:
        answer = ask()
        taken.append(answer.milliseconds)
        if answer.status >= 400:
            return Times(statistics.median(taken), max(taken), len(taken), good=False)
    return Times(statistics.median(taken), max(taken), len(taken), good=first.status < 400)
