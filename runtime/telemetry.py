"""Structured logs: one JSON object a line, past-tense snake_case events, fixed keys.

A module logs with the standard library: `log.info("order_confirmed", extra={"order": ...})`. Values
never come from a body or a credential; an exception is told by type and place, not by its text,
which may carry a vendor's words.
"""

import logging
import sys
import time
import traceback
from typing import Any, Final

import msgspec

from contracts import context

_encoder = msgspec.json.Encoder(enc_hook=str)
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One line, one JSON object; newlines in values are escaped by JSON itself."""

    def format(self, record: logging.LogRecord) -> str:
        """Render a record with its time, level, logger, event, correlation and fields."""
        call = context.current()
        line: dict[str, Any] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        if call is not context.SYSTEM:
            line["correlationId"] = call.correlation_id
            line["consumer"] = call.consumer
        line.update((key, value) for key, value in vars(record).items() if key not in _STANDARD)
        if record.exc_info and record.exc_info[1] is not None:
            line.update(_told(record.exc_info[1]))
        return _encoder.encode(line).decode()


def _told(error: BaseException) -> dict[str, Any]:
    """Tell an exception by its type and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)[-5:]
    return {
        "error": type(error).__name__,
        "raisedAt": [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames],
    }


def configure_logs(level: str = "INFO", stream: Any = None) -> None:
    """Send every record to a stream (standard error by default) as JSON lines."""
    handler = logging.StreamHandler(stream or sys.stderr)
    formatter = JsonLines()
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
