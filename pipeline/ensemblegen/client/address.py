"""Where a server is, as people write it."""

from __future__ import annotations

import re

_ADDRESS = re.compile(
    r"(?:(?P<scheme>\w+)://)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/@?#\[\]]+):(?P<port>\d{1,5})/?"
)


def address(url: str) -> str:
    """`host:port` of `host:port`, `http://host:port` or `grpc://host:port`; else ValueError."""
    if url.startswith(("https://", "grpcs://")):
        raise ValueError(f"'{url}': TLS is not supported, only http:// and grpc://")
    match = _ADDRESS.fullmatch(url)
    if match is None or match["scheme"] not in (None, "http", "grpc"):
        raise ValueError(f"'{url}' is not of the form host:port")
    if not 0 < int(match["port"]) < 1 << 16:
        raise ValueError(f"'{url}': a port is a number from 1 to 65535")
    return f"{match['host']}:{match['port']}"
