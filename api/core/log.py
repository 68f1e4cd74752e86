"""Structured logs: to standard output, and to a file that is turned over when asked for."""

import logging
import logging.config
import sys
from typing import Any, Final

import structlog
from asgi_correlation_id import correlation_id
from structlog.typing import EventDict, Processor, WrappedLogger

from api.settings import Settings

QUIET: Final = ("uvicorn.access", "asgi_correlation_id")
"""Loggers that say again what the access line says, or what a caller can make them say."""


def _request_id(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    request_id = correlation_id.get()
    if request_id is not None:
        event["request_id"] = request_id
    return event


def _no_addresses(record: logging.LogRecord) -> bool:
    # uvicorn tells the whole address of a socket that opens: a tracking code in it opens a ticket.
    return '"WebSocket %s"' not in str(record.msg)


def _one_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for name, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[name] = "".join(c if c.isprintable() else repr(c)[1:-1] for c in value)
    return event


SHARED: Final[tuple[Processor, ...]] = (
    structlog.contextvars.merge_contextvars,
    _request_id,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
    _one_line,
)


def _formatter(renderer: Processor) -> dict[str, Any]:
    return {
        "()": structlog.stdlib.ProcessorFormatter,
        "processors": [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            # Frames only, never the values of local variables: those hold personal data.
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            )
            if isinstance(renderer, structlog.processors.JSONRenderer)
            else structlog.processors.format_exc_info,
            renderer,
        ],
        "foreign_pre_chain": list(SHARED),
    }


def configure(settings: Settings) -> None:
    """Send every log line of this process, libraries included, through one pair of handlers.

    Whatever is no printable character is escaped, so what a caller sent cannot pretend to be a
    line of its own, or steer the terminal of whoever reads it.
    """
    plain = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    json_lines = structlog.processors.JSONRenderer(ensure_ascii=False)
    handlers: dict[str, Any] = {
        "stdout": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stdout",
            "formatter": settings.log_format,
        }
    }
    if settings.log_file is not None:
        settings.log_file.parent.mkdir(parents=True, exist_ok=True)
        handlers["file"] = {
            "class": "logging.handlers.RotatingFileHandler",
            "filename": str(settings.log_file),
            "maxBytes": settings.log_file_size,
            "backupCount": settings.log_file_count,
            "encoding": "utf-8",
            "formatter": "json",
        }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"console": _formatter(plain), "json": _formatter(json_lines)},
            "filters": {"no_addresses": {"()": lambda: _no_addresses}},
            "handlers": handlers,
            "root": {"handlers": list(handlers), "level": settings.log_level},
            "loggers": {
                **{name: {"level": "ERROR", "propagate": True, "handlers": []} for name in QUIET},
                "uvicorn": {"handlers": [], "propagate": True},
                "uvicorn.error": {"handlers": [], "propagate": True, "filters": ["no_addresses"]},
            },
        }
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
