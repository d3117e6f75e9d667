"""HTTP by requests: for runs for which somebody waits anyway."""
from __future__ import absolute_import, print_function, unicode_literals

import re
import signal
import sys
from contextlib import contextmanager

from ec2net_legacy import _compat
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import HostError
from ec2net_legacy.imds.answers import (
    LARGEST_BODY,
    Answer,
    NoAnswer,
    too_large,
    too_late,
    too_short,
)

if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Optional, Tuple

    from ec2net_legacy.settings import MetadataSettings

# An alarm that somebody swallowed goes off again after this time.
_NEXT_ALARM = 0.5


class Transport(object):
    """One session of requests, which keeps its connections open."""

    def __init__(self, settings, session=None):
        # type: (MetadataSettings, Optional[Any]) -> None
        self._settings = settings
        self._session = session
        self._timeout = None  # type: Any

    def request(self, method, url, headers, limit):
        # type: (str, str, Dict[str, str], float) -> Answer
        """Return the answer, whose body is read to its end. Raises NoAnswer, and HostError."""
        requests, session = self._open()
        try:
            with _time_limit(limit):
                answer = session.request(
                    method,
                    url,
                    headers=headers,
                    timeout=self._timeout,
                    allow_redirects=False,
                    stream=True,
                )
                body = _read_body(answer)
        # requests looks at a redirect's target even when told not to follow, and may fail over it.
        except (requests.exceptions.RequestException, ValueError, NoAnswer) as error:
            raise NoAnswer(_reason(error))
        told = {name.lower(): answer.headers[name] for name in answer.headers}
        return Answer(answer.status_code, told, body)

    def _open(self):
        # type: () -> Tuple[Any, Any]
        """Return the library and the session, which are loaded when a question is certain."""
        try:
            import requests
        except ImportError:
            raise HostError("the Python module requests is not installed for " + sys.executable)
        if self._timeout is None:
            self._session = self._session or requests.Session()
            # A proxy for the outside must not see the credentials that this service hands out.
            self._session.trust_env = False
            self._timeout = _compat.requests_timeout(
                requests.__version__,
                self._settings.connect_timeout,
                self._settings.read_timeout,
            )
        return requests, self._session


def _read_body(answer):
    # type: (Any) -> bytes
    body = b""
    # Read to the end, also of a 404: only then can the connection be used again.
    for chunk in answer.iter_content(8192):
        body += chunk
        if len(body) > LARGEST_BODY:
            answer.close()
            raise too_large()
    # requests does not mind an answer that ends too early, with half of the addresses, say.
    length = answer.headers.get("Content-Length", "")
    if length.isdigit() and int(length) != len(body) and not answer.headers.get("Content-Encoding"):
        raise too_short(len(body), length)
    return body


def _reason(error):
    # type: (Exception) -> str
    """Return the innermost reason: requests wraps urllib3, which wraps the socket's error."""
    reason = error  # type: Any
    for _ in range(4):
        inner = getattr(reason, "reason", None) or (reason.args and reason.args[-1])
        if not isinstance(inner, Exception):
            break
        reason = inner
    said = getattr(reason, "strerror", None) or str(reason)
    said = said.split(": ", 1)[-1] if said.startswith("<") else said
    # It can quote what the server sent.
    plain = _compat.text(said)
    return plain if re.match(r"[ -~]{1,100}\Z", plain) else _compat.quoted(plain)


@contextmanager
def _time_limit(seconds):
    # type: (float) -> Iterator[None]
    """Raise NoAnswer in the body after `seconds`.

    A socket's time-out starts anew with every byte, so a server that drips would hold a boot for
    ever. It is raised again and again: what runs when the alarm goes off may swallow it, such as
    a destructor, or an `except Exception` of a library. A body that ends in spite of it is late,
    too. Only the main thread gets signals; elsewhere the socket's time-out has to do.
    """
    alarms = []  # type: List[int]
    over = []  # type: List[bool]

    def expire(number, _):
        # type: (int, object) -> None
        alarms.append(number)
        if not over:
            raise too_late(seconds)

    try:
        previous = signal.signal(signal.SIGALRM, expire)
    except ValueError:
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds, _NEXT_ALARM)
    try:
        yield
    finally:
        over.append(True)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    if alarms:
        raise too_late(seconds)
