"""What Prometheus is told of a process: its requests, its memory, its garbage collector."""

from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNCOUNTED: Final = "/metrics"


class Metrics:
    """The figures of one application.

    Counted by route, for a path has ids and codes in it. The access log tells the route that the
    router found: instrumenting middleware looks for it a second time, which took as long as all
    of our own code for a list.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self._requests = Counter(
            "http_requests_total",
            "Requests by method, handler and status",
            ("method", "handler", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "Seconds until the answer was through",
            ("method", "handler"),
            buckets=SECONDS,
            registry=self.registry,
        )

    def observe(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count one request; ``route`` is None where no operation was asked for."""
        if route is not None and route.endswith(UNCOUNTED):
            return
        # Names that anybody can invent must not become series of their own.
        asked, handler = method if method in METHODS else "other", route or "none"
        self._requests.labels(asked, handler, str(status)).inc()
        self._seconds.labels(asked, handler).observe(seconds)
