"""Asking over HTTP whoever answers: no redirects, so much time in all, so many bytes at most.

The standard library follows a redirect to any host and takes the password along, waits anew for every byte, and reads as long as
somebody sends. Neighbours: ``registry`` asks with this, and ``overview.services`` does.
"""

from __future__ import annotations

import io
import ssl
import time
import urllib.request
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any

__all__ = ["TooLargeAnswer", "opener", "read_whole"]


class TooLargeAnswer(ValueError):
    """The answer has more bytes than it can need."""


def opener(context: ssl.SSLContext | None) -> urllib.request.OpenerDirector:
    """What opens requests; their time-outs are for the whole of each. No proxy: it would see everything.

    Args:
        context: for ``https``; None where that is not spoken.
    """
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({}), _NoRedirects(), _Http()]
    if context is not None:
        handlers.append(_Https(context=context))
    return urllib.request.build_opener(*handlers)


def read_whole(answer: Any, most: int) -> bytes:
    """All of an answer.

    Raises:
        TooLargeAnswer: it has more than ``most`` bytes.
        OSError: it does not come in time.
    """
    try:
        content = bytes(answer.read(most + 1))
    except OverflowError:  # the length of a chunk that no machine has room for
        raise TooLargeAnswer("a part of the answer has more bytes than can be") from None
    if len(content) > most:
        raise TooLargeAnswer(f"the answer has more than {most:,} bytes")
    return content


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """None: the redirect itself is the answer."""


class _Response(HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **named: Any) -> None:
        super().__init__(sock, *args, **named)
        self.fp = io.BufferedReader(_InTime(sock, self.fp.detach()))


class _Connection(HTTPConnection):
    response_class = _Response


class _SecureConnection(HTTPSConnection):
    response_class = _Response


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(_Connection, req)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(_SecureConnection, req, context=self._context)  # type: ignore[attr-defined]


class _InTime(io.RawIOBase):
    """What comes from a socket, as long as its time-out lasts: not for each byte anew."""

    def __init__(self, sock: Any, raw: io.RawIOBase) -> None:
        self._socket, self._raw = sock, raw
        self._until = time.monotonic() + (sock.gettimeout() or 0.0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer does not end in time")
        self._socket.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
