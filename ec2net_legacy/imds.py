"""The instance metadata service: sessions, tokens, retries and deadlines.

"Absent" (404) is None, "unavailable" is MetadataUnavailable, and neither is ever taken for the
other: a failed request must not read as "AWS took the addresses away".
"""
from __future__ import absolute_import, print_function, unicode_literals

import json
import logging
import random
import re
import signal
import sys
import time
from contextlib import contextmanager

from ec2net_legacy import _compat, metadata
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import HostError, MetadataInvalid, MetadataUnavailable

if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterator, List, Optional

    from ec2net_legacy.host.rundir import RunDirectory
    from ec2net_legacy.model import Eni
    from ec2net_legacy.settings import MetadataSettings

_log = logging.getLogger(__name__)

_TOKEN_NOTE = "token"  # noqa: S105 (the name of a note, not a secret)
_TOKEN_TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"  # noqa: S105
_TOKEN_HEADER = "X-aws-ec2-metadata-token"  # noqa: S105
# A token that ends during a run costs a request more than a fresh one.
_TOKEN_MARGIN = 60
# 64 addresses are 1 KiB; anything near this is not metadata.
_LARGEST_BODY = 64 * 1024
# IMDS off, or an emulator without version 2 (403); an endpoint of version 1 only (404, 405).
_VERSION_1 = (403, 404, 405)
_WORTH_RETRYING = (429, 500, 502, 503, 504)
_FIRST_PAUSE = 0.25
# Also for a run that is in a hurry.
_SHORTEST_REQUEST = 0.1
_LONGEST_PAUSE = 4.0
# Of the attach deadline: until then an ENI with IPv6 keys only may be a dual-stack one of which
# half is there. 20 s by default; the slowest propagation reported took 18.
_IPV6_ONLY_AFTER = 2.0 / 3.0


class Imds(object):
    """One run's conversation: one session, kept alive, at most one token request."""

    def __init__(
        self,
        settings,  # type: MetadataSettings
        notes,  # type: RunDirectory
        clock=_compat.monotonic,  # type: Callable[[], float]
        sleep=time.sleep,  # type: Callable[[float], None]
        wall_clock=time.time,  # type: Callable[[], float]
        session=None,  # type: Optional[Any]
    ):
        # type: (...) -> None
        self._settings = settings
        self._primary = ""
        self._notes = notes
        self._clock = clock
        self._sleep = sleep
        self._wall_clock = wall_clock
        self._session = session
        self._endpoints = list(settings.endpoints)
        self._end = None  # type: Optional[float]
        self._latest = float("inf")
        self._token = None  # type: Optional[str]
        self._timeout = None  # type: Any
        self._cached = True

    def hurry(self, end):
        # type: (float) -> None
        """Give up at `end` (of the clock) at the latest, whatever the deadline says."""
        self._latest = end

    def primary_mac(self):
        # type: () -> str
        """Return the MAC address of the primary ENI, which stays for as long as the host runs."""
        if not self._primary:
            text = self._get("mac")
            if text is None:
                raise MetadataUnavailable("metadata unavailable: there is no key mac")
            self._primary = metadata.parse_mac("mac", text)
        return self._primary

    def macs(self):
        # type: () -> List[str]
        """Return the MAC addresses of all ENIs, in no particular order."""
        text = self._get("network/interfaces/macs/")
        if text is None:
            raise MetadataUnavailable("metadata unavailable: there is no list of MAC addresses")
        return metadata.parse_macs("network/interfaces/macs/", text)

    def eni(self, mac, is_primary=False):
        # type: (str, bool) -> Optional[Eni]
        """Return the ENI as it is now; None while it is not listed or lacks some of its keys."""
        return self._read_eni(mac, is_primary, True)

    def primary_eni(self, mac):
        # type: (str) -> Optional[Eni]
        """Return the primary ENI as it is now."""
        return self._read_eni(mac, True, True)

    def wait_for_eni(self, mac, still_there=lambda: None):
        # type: (str, Callable[[], object]) -> Eni
        """Return the ENI once the keys that every ENI has are there and its number is real.

        A fresh one takes 1 to 5 s, 18 s have been seen; MetadataUnavailable after
        `attach_deadline`. Before each pause, `still_there` raises what ends the waiting.
        """
        start = self._clock()
        pause = _FIRST_PAUSE
        ipv6_only_after = self._settings.attach_deadline * _IPV6_ONLY_AFTER
        while True:
            waited = self._clock() - start
            eni = self._read_eni(mac, False, waited >= ipv6_only_after)
            if eni is not None:
                return eni
            still_there()
            if waited + pause > self._settings.attach_deadline:
                raise MetadataUnavailable(
                    "metadata does not (yet) describe the interface {0} completely after"
                    " {1:.0f} s".format(mac, waited)
                )
            _log.debug("metadata of %s is incomplete: next look in %.2f s", mac, pause)
            self._sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def _read_eni(self, mac, is_primary, accept_ipv6_only):
        # type: (str, bool, bool) -> Optional[Eni]
        base = "network/interfaces/macs/{0}/".format(mac)
        listing = self._get(base)
        wanted = metadata.wanted_keys(
            metadata.listed_keys(listing or ""), accept_ipv6_only
        )
        if wanted is None:
            return None
        texts = {}  # type: Dict[str, str]
        for key in wanted:
            text = self._get(base + key)
            if text is None:
                return None
            texts[key] = text
        eni = metadata.parse_eni(mac, texts)
        # Before it has propagated it reads 0, which on the first card is the primary's alone.
        if eni.device_number == 0 and eni.network_card == 0 and not is_primary:
            return None
        return eni

    def _get(self, key):
        # type: (str) -> Optional[str]
        """Return the text of a key, None where it is absent; retries until the deadline."""
        if self._end is None:
            self._end = min(self._clock() + self._settings.deadline, self._latest)
            self._open()
        pause = _FIRST_PAUSE
        while True:
            try:
                text = self._get_once("meta-data/" + key)
            except _TryAgain as error:
                # Jitter: a fleet that boots at once must not come back at once.
                wait = max(error.pause, pause * random.uniform(0.7, 1.3))  # noqa: S311
                if self._clock() + wait > self._end:
                    raise MetadataUnavailable("metadata unavailable: {0}".format(error))
                _log.debug("%s: again in %.2f s", error, wait)
                self._sleep(wait)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                # The deadline is for silence, not for all keys together.
                self._end = min(self._clock() + self._settings.deadline, self._latest)
                return text

    def _get_once(self, path):
        # type: (str) -> Optional[str]
        fresh = False
        if self._token is None:
            self._token = self._fetch_token()
            fresh = not self._cached
        response = self._request("GET", path, self._headers())
        if response.status == 401 and not fresh:
            # The cached token is of an earlier life of this instance, or this one's end has come.
            # A fresh one that is not accepted either is the service's trouble.
            _log.debug("the token is not accepted")
            self._cached = False
            self._token = self._fetch_token()
            response = self._request("GET", path, self._headers())
        if response.status == 404:
            return None
        if response.status != 200:
            raise self._refusal("GET", path, response)
        try:
            return response.body.decode("ascii")
        except UnicodeDecodeError:
            raise MetadataInvalid(path, response.body.decode("latin-1"), "plain text")

    def _headers(self):
        # type: () -> Dict[str, str]
        # Not compressed: the length then says whether all of an answer came.
        headers = {"Accept-Encoding": "identity"}
        if self._token:
            headers[_TOKEN_HEADER] = self._token
        return headers

    def _fetch_token(self):
        # type: () -> str
        """Return a token, "" where the service knows only version 1."""
        if self._cached:
            token = self._cached_token()
            if token:
                return token
        self._cached = False
        ttl = self._settings.token_ttl
        asked = self._wall_clock()
        response = self._request("PUT", "api/token", {_TOKEN_TTL_HEADER: str(ttl)})
        if response.status in _VERSION_1:
            _log.debug("no metadata tokens here (%d): version 1", response.status)
            return ""
        if response.status != 200:
            raise self._refusal("PUT", "api/token", response)
        token = _plausible_token(response.body.decode("latin-1"))
        if not token:
            raise MetadataInvalid("api/token", response.body.decode("latin-1"), "a token")
        self._keep_token(token, asked + ttl)
        return token

    def _cached_token(self):
        # type: () -> str
        note = self._notes.read(_TOKEN_NOTE)
        if note is None:
            return ""
        try:
            kept = json.loads(note)
            left = float(kept["expires"]) - self._wall_clock()
            token = _plausible_token(kept["token"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return ""
        # A clock that was set back must not make an old token look young.
        return token if _TOKEN_MARGIN < left <= self._settings.token_ttl else ""

    def _keep_token(self, token, expires):
        # type: (str, float) -> None
        try:
            self._notes.write(_TOKEN_NOTE, json.dumps({"token": token, "expires": expires}))
        except HostError as error:
            # The next run asks for another one; that is all.
            _log.debug("%s", error)

    def _refusal(self, method, path, response):
        # type: (str, str, _Response) -> Exception
        said = "{0} {1}: status {2}".format(method, path, response.status)
        if response.status in _WORTH_RETRYING:
            return _TryAgain(said, response.retry_after)
        return MetadataUnavailable("metadata unavailable: " + said)

    def _open(self):
        # type: () -> None
        # A tenth of a second: not before a request is certain.
        try:
            import requests
        except ImportError:
            raise HostError("the Python module requests is not installed for " + sys.executable)
        if self._session is None:
            self._session = requests.Session()
        # A proxy for the outside must not see the credentials that this service hands out.
        self._session.trust_env = False
        self._timeout = _compat.requests_timeout(
            requests.__version__, self._settings.connect_timeout, self._settings.read_timeout
        )

    def _request(self, method, path, headers):
        # type: (str, str, Dict[str, str]) -> _Response
        """Ask the endpoints in turn; the first that answers at all is the only one from then on."""
        failure = None
        for endpoint in list(self._endpoints):
            try:
                response = self._request_endpoint(method, endpoint + "/" + path, headers)
            except _TryAgain as error:
                # What the preferred endpoint says is what the operator should read.
                failure = failure or error
                continue
            self._endpoints = [endpoint]
            return response
        raise failure or _TryAgain("no metadata endpoint is set")

    def _request_endpoint(self, method, url, headers):
        # type: (str, str, Dict[str, str]) -> _Response
        import requests

        session = self._session  # type: Any
        try:
            limit = self._settings.connect_timeout + self._settings.read_timeout
            with _time_limit(max(min(limit, self._latest - self._clock()), _SHORTEST_REQUEST)):
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
        except (requests.exceptions.RequestException, ValueError, _BadAnswer) as error:
            raise _TryAgain("{0} {1}: {2}".format(method, url, _reason(error)))
        _log.debug("%s %s: %d, %d bytes", method, url, answer.status_code, len(body))
        return _Response(answer.status_code, body, answer.headers.get("Retry-After", ""))


class _TryAgain(Exception):
    """A request that may succeed in `pause` seconds; never leaves this module."""

    def __init__(self, message, pause=0.0):
        # type: (str, float) -> None
        super(_TryAgain, self).__init__(message)
        self.pause = pause


class _BadAnswer(Exception):
    """The answer as a whole took too long, is too large or ended too early."""


class _Response(object):
    """Status and body of an answer."""

    def __init__(self, status, body, retry_after):
        # type: (int, bytes, str) -> None
        self.status = status
        self.body = body
        # The other form, a date, is not used by the service.
        seconds = re.match(r"[0-9]{1,5}\Z", retry_after)
        self.retry_after = float(seconds.group()) if seconds else 0.0


def _read_body(answer):
    # type: (Any) -> bytes
    body = b""
    # Read to the end, also of a 404: only then can the connection be used again.
    for chunk in answer.iter_content(8192):
        body += chunk
        if len(body) > _LARGEST_BODY:
            answer.close()
            raise _BadAnswer("more than {0} bytes".format(_LARGEST_BODY))
    # requests does not mind an answer that ends too early, with half of the addresses, say.
    length = answer.headers.get("Content-Length", "")
    if length.isdigit() and int(length) != len(body) and not answer.headers.get("Content-Encoding"):
        raise _BadAnswer("{0} of {1} bytes came".format(len(body), length))
    return body


def _plausible_token(text):
    # type: (str) -> str
    """Return `text` if it can stand in a header, else ""."""
    token = text.strip()
    fits = 0 < len(token) <= 1024 and all(33 <= ord(character) <= 126 for character in token)
    return token if fits else ""


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
    """Raise _BadAnswer in the body after `seconds`.

    A socket's time-out starts anew with every byte, so a server that drips would hold a boot for
    ever. Only the main thread gets signals; elsewhere the socket's time-out has to do.
    """

    def expire(*_):
        # type: (object) -> None
        raise _BadAnswer("no complete answer within {0:.1f} s".format(seconds))

    try:
        previous = signal.signal(signal.SIGALRM, expire)
    except ValueError:
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
