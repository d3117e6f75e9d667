"""The instance metadata service: sessions, tokens, retries and deadlines.

"Absent" (404) is None, "unavailable" is MetadataUnavailable, and neither is ever taken for the
other: a failed request must not read as "AWS took the addresses away".
"""
from __future__ import absolute_import, print_function, unicode_literals

import re
import time

from ec2net_legacy import _compat, log, metadata
from ec2net_legacy._cheap import json, pattern
from ec2net_legacy._typing import TYPE_CHECKING
from ec2net_legacy.errors import HostError, MetadataInvalid, MetadataUnavailable
from ec2net_legacy.imds.answers import Answer, NoAnswer

if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional

    from ec2net_legacy.host.rundir import RunDirectory
    from ec2net_legacy.model import Eni
    from ec2net_legacy.record import Reading
    from ec2net_legacy.settings import MetadataSettings

_TOKEN_NOTE = "token"  # noqa: S105 (the name of a note, not a secret)
_TOKEN_TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"  # noqa: S105
_TOKEN_HEADER = "X-aws-ec2-metadata-token"  # noqa: S105
# A token that ends during a run costs a request more than a fresh one.
_TOKEN_MARGIN = 60
# IMDS off, or an emulator without version 2 (403); an endpoint of version 1 only (404, 405).
_VERSION_1 = (403, 404, 405)
_WORTH_RETRYING = (429, 500, 502, 503, 504)
_FIRST_PAUSE = 0.25
# Also for who is in a hurry.
_SHORTEST_REQUEST = 0.1
_NEVER = float("inf")
_LONGEST_PAUSE = 4.0
# Of the attach deadline: until then an ENI with IPv6 keys only may be a dual-stack one of which
# half is there. 20 s by default; the slowest propagation reported took 18.
_IPV6_ONLY_AFTER = 2.0 / 3.0


_LITERAL = pattern(r"http://(?:[0-9.]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?(?:/|\Z)")


def choose_transport(settings, is_light):
    # type: (MetadataSettings, bool) -> Any
    """Return the transport that the settings ask for, or else the one that suits the run."""
    # The light one knows no TLS, and its time limit does not hold while a name is looked up.
    is_light = is_light and all(_LITERAL.match(url) for url in settings.endpoints)
    if settings.transport == "light" or (settings.transport == "auto" and is_light):
        from ec2net_legacy.imds import light

        return light.Transport(settings)
    from ec2net_legacy.imds import by_requests

    return by_requests.Transport(settings)


class Imds(object):
    """One run's conversation: one session, kept alive, at most one token request.

    `transport` is what carries the questions, see `choose_transport`. Each question may be given a
    moment of the clock, `until`, at which it is given up at the latest, whatever the deadline says.
    """

    def __init__(
        self,
        settings,  # type: MetadataSettings
        notes,  # type: RunDirectory
        transport,  # type: Any
        clock=_compat.monotonic,  # type: Callable[[], float]
        sleep=time.sleep,  # type: Callable[[float], None]
        wall_clock=time.time,  # type: Callable[[], float]
    ):
        # type: (...) -> None
        self._settings = settings
        self._primary = ""
        self._known = {}  # type: Dict[str, Eni]
        self._notes = notes
        self._clock = clock
        self._sleep = sleep
        self._wall_clock = wall_clock
        self._transport = transport
        self._endpoints = list(settings.endpoints)
        self._end = None  # type: Optional[float]
        self._token = None  # type: Optional[str]
        self._cached = True

    def primary_mac(self, until=_NEVER):
        # type: (float) -> str
        """Return the MAC address of the primary ENI, which stays for as long as the host runs."""
        if not self._primary:
            text = self._get("mac", until)
            if text is None:
                raise MetadataUnavailable("metadata unavailable: there is no key mac")
            self._primary = metadata.parse_mac("mac", text)
        return self._primary

    def recall(self, reading, mac):
        # type: (Optional[Reading], str) -> None
        """Ask no more for what an earlier `reading` tells of the ENI with this MAC address.

        That is what an ENI keeps for life, and for the number 0 of card 0 that it is the primary.
        """
        if reading is not None and reading.eni.mac == mac:
            self._known[mac] = reading.eni
            if (reading.eni.device_number, reading.eni.card) == (0, 0):
                self._primary = mac

    def macs(self):
        # type: () -> List[str]
        """Return the MAC addresses of all ENIs, in no particular order."""
        text = self._get("network/interfaces/macs/", _NEVER)
        if text is None:
            raise MetadataUnavailable("metadata unavailable: there is no list of MAC addresses")
        return metadata.parse_macs("network/interfaces/macs/", text)

    def interface_id(self, mac):
        # type: (str) -> str
        """Return the id of the ENI with this MAC address, "" where it has none (yet)."""
        text = self._get("network/interfaces/macs/{0}/interface-id".format(mac), _NEVER)
        return (text or "").strip()

    def eni(self, mac, is_primary=False, until=_NEVER):
        # type: (str, bool, float) -> Optional[Eni]
        """Return the ENI as it is now; None while it is not listed or lacks some of its keys."""
        return self._read_eni(mac, is_primary, True, until)

    def primary_eni(self, mac):
        # type: (str) -> Optional[Eni]
        """Return the primary ENI as it is now."""
        return self._read_eni(mac, True, True, _NEVER)

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
            eni = self._read_eni(mac, False, waited >= ipv6_only_after, _NEVER)
            if eni is not None:
                return eni
            still_there()
            if waited + pause > self._settings.attach_deadline:
                raise MetadataUnavailable(
                    "metadata does not (yet) describe the interface {0} completely after"
                    " {1:.0f} s".format(mac, waited)
                )
            log.debug("metadata of %s is incomplete: next look in %.2f s", mac, pause)
            self._sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def _read_eni(self, mac, is_primary, accept_ipv6_only, until):
        # type: (str, bool, bool, float) -> Optional[Eni]
        base = "network/interfaces/macs/{0}/".format(mac)
        listing = self._get(base, until)
        wanted = metadata.wanted_keys(
            metadata.listed_keys(listing or ""), accept_ipv6_only
        )
        if wanted is None:
            return None
        known = self._known.get(mac)
        lasting = {} if known is None else metadata.lasting_texts(known)
        texts = {}  # type: Dict[str, str]
        for key in wanted:
            text = lasting[key] if key in lasting else self._get(base + key, until)
            if text is None:
                return None
            texts[key] = text
        eni = metadata.parse_eni(mac, texts)
        # Before it has propagated it reads 0, which on the first card is the primary's alone.
        if eni.device_number == 0 and eni.card == 0 and not is_primary:
            return None
        return eni

    def _get(self, key, until):
        # type: (str, float) -> Optional[str]
        """Return the text of a key, None where it is absent; retries until the deadline."""
        if self._end is None:
            # The deadline is for silence, not for all keys together, nor for what a run does
            # between them; but silence that went on until then is not waited for again.
            self._end = self._clock() + self._settings.deadline
        pause = _FIRST_PAUSE
        while True:
            try:
                text = self._get_once("meta-data/" + key, until)
            except _TryAgain as error:
                # Jitter: a fleet that boots at once must not come back at once. The import takes as
                # long as three requests, and hardly any run needs it.
                import random

                wait = max(error.pause, pause * random.uniform(0.7, 1.3))  # noqa: S311
                if self._clock() + wait > min(self._end, until):
                    raise MetadataUnavailable("metadata unavailable: {0}".format(error))
                log.debug("%s: again in %.2f s", error, wait)
                self._sleep(wait)
                pause = min(pause * 2, _LONGEST_PAUSE)
            except (MetadataInvalid, MetadataUnavailable):
                # An answer, though no good one.
                self._end = None
                raise
            else:
                self._end = None
                return text

    def _get_once(self, path, until):
        # type: (str, float) -> Optional[str]
        fresh = False
        if self._token is None:
            self._token = self._fetch_token(until)
            fresh = not self._cached
        response = self._request("GET", path, self._headers(), until)
        if response.status == 401 and not fresh:
            # The cached token is of an earlier life of this instance, or this one's end has come.
            # A fresh one that is not accepted either is the service's trouble.
            log.debug("the token is not accepted")
            self._cached = False
            self._token = self._fetch_token(until)
            response = self._request("GET", path, self._headers(), until)
        if response.status == 404:
            return None
        if response.status != 200:
            raise self._refusal("GET", path, response)
        try:
            text = response.body.decode("ascii")  # type: str
        except UnicodeDecodeError:
            raise MetadataInvalid(path, response.body.decode("latin-1"), "plain text")
        return text

    def _headers(self):
        # type: () -> Dict[str, str]
        # Not compressed: the length then says whether all of an answer came.
        headers = {"Accept-Encoding": "identity"}
        if self._token:
            headers[_TOKEN_HEADER] = self._token
        return headers

    def _fetch_token(self, until):
        # type: (float) -> str
        """Return a token, "" where the service knows only version 1."""
        if self._cached:
            token = self._cached_token()
            if token:
                return token
        self._cached = False
        ttl = self._settings.token_ttl
        asked = self._wall_clock()
        response = self._request("PUT", "api/token", {_TOKEN_TTL_HEADER: str(ttl)}, until)
        if response.status in _VERSION_1:
            log.debug("no metadata tokens here (%d): version 1", response.status)
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
            log.debug("%s", error)

    def _refusal(self, method, path, response):
        # type: (str, str, Answer) -> Exception
        said = "{0} {1}: status {2}".format(method, path, response.status)
        if response.status in _WORTH_RETRYING:
            return _TryAgain(said, _retry_after(response))
        return MetadataUnavailable("metadata unavailable: " + said)

    def _request(self, method, path, headers, until):
        # type: (str, str, Dict[str, str], float) -> Answer
        """Ask the endpoints in turn; the first that answers at all is the only one from then on."""
        failure = None
        for endpoint in list(self._endpoints):
            try:
                response = self._request_endpoint(method, endpoint + "/" + path, headers, until)
            except _TryAgain as error:
                # What the preferred endpoint says is what the operator should read.
                failure = failure or error
                continue
            self._endpoints = [endpoint]
            return response
        raise failure or _TryAgain("no metadata endpoint is set")

    def _request_endpoint(self, method, url, headers, until):
        # type: (str, str, Dict[str, str], float) -> Answer
        limit = self._settings.connect_timeout + self._settings.read_timeout
        limit = max(min(limit, until - self._clock()), _SHORTEST_REQUEST)
        try:
            answer = self._transport.request(method, url, headers, limit)  # type: Answer
        except NoAnswer as error:
            raise _TryAgain("{0} {1}: {2}".format(method, url, error))
        log.debug("%s %s: %d, %d bytes", method, url, answer.status, len(answer.body))
        return answer


class _TryAgain(Exception):
    """A request that may succeed in `pause` seconds; never leaves this module."""

    def __init__(self, message, pause=0.0):
        # type: (str, float) -> None
        super(_TryAgain, self).__init__(message)
        self.pause = pause


def _retry_after(answer):
    # type: (Answer) -> float
    """Return the seconds after which the service wants to be asked again, 0 if it does not say."""
    # The other form, a date, is not used by the service.
    seconds = re.match(r"[0-9]{1,5}\Z", answer.headers.get("retry-after", ""))
    return float(seconds.group()) if seconds else 0.0


def _plausible_token(text):
    # type: (str) -> str
    """Return `text` if it can stand in a header, else ""."""
    token = text.strip()
    fits = 0 < len(token) <= 1024 and all(33 <= ord(character) <= 126 for character in token)
    return token if fits else ""


