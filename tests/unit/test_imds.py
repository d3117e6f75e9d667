"""The metadata service: absent is not unavailable, and nothing is asked for twice."""
from __future__ import absolute_import, print_function, unicode_literals

import os
import signal
import time

import pytest
import requests

from ec2net_legacy import imds, record, settings
from ec2net_legacy.errors import HostError, MetadataInvalid, MetadataUnavailable
from ec2net_legacy.host.rundir import RunDirectory
from ec2net_legacy.imds import by_requests
from tests.unit.fakes import (
    MACS,
    NOT_FOUND,
    PRIMARY,
    SECOND,
    THIRD,
    FakeClock,
    FakeSession,
    eni_texts,
    ipv6_texts,
    metadata_tree,
    raised,
)

TOKEN = "X-aws-ec2-metadata-token"
TTL = "X-aws-ec2-metadata-token-ttl-seconds"
REFUSED = requests.exceptions.ConnectionError("Connection refused")
TIMEOUT = requests.exceptions.ReadTimeout("Read timed out.")
CONNECT_TIMEOUT = requests.exceptions.ConnectionError("connect timed out")


class Service(object):
    """An Imds and what it stands on."""

    def __init__(self, directory, answers, changes=None, accepted=None, clock=None):
        self.clock = clock or FakeClock()
        self.session = FakeSession(answers, accepted)
        self.notes = RunDirectory(str(directory.join("run")))
        only_ipv4 = {"endpoints": ("http://169.254.169.254/latest",)}
        chosen = settings.DEFAULTS.metadata._replace(**dict(only_ipv4, **(changes or {})))
        self.imds = imds.Imds(
            chosen,
            self.notes,
            by_requests.Transport(chosen, self.session),
            clock=self.clock,
            sleep=self.clock.sleep,
            wall_clock=self.clock,
        )


@pytest.fixture
def service(tmpdir):
    def make(answers, **others):
        return Service(tmpdir, answers, **others)

    return make


def one_eni(texts=None):
    return metadata_tree({SECOND: texts or eni_texts()})


def test_a_token_is_asked_for_once_and_sent_with_each_question(service):
    one = service(one_eni())
    assert one.imds.primary_mac() == PRIMARY
    assert one.imds.macs() == [SECOND]
    puts = [request for request in one.session.requests if request.method == "PUT"]
    assert [(put.path, put.headers[TTL]) for put in puts] == [("api/token", "21600")]
    gets = [request for request in one.session.requests if request.method == "GET"]
    assert [get.headers.get(TOKEN) for get in gets] == ["TOKEN", "TOKEN"]


@pytest.mark.parametrize(
    "later, puts",
    [(0, 0), (21600 - 120, 0), (21600 - 30, 1), (21600 + 1, 1), (-3600, 1)],
    ids=["at once", "near its end", "too near its end", "after its end", "clock set back"],
)
def test_a_token_is_kept_for_the_next_runs_until_shortly_before_its_end(service, later, puts):
    first = service(one_eni())
    first.imds.primary_mac()
    clock = FakeClock(first.clock.start + later)
    second = service(one_eni(), clock=clock, accepted=["TOKEN"])
    assert second.imds.primary_mac() == PRIMARY
    assert second.session.count("PUT") == puts


def test_a_token_is_for_root_only(service, tmpdir):
    service(one_eni()).imds.primary_mac()
    assert oct(tmpdir.join("run", "token").stat().mode & 0o777) == oct(0o600)


@pytest.mark.parametrize(
    "note",
    ["", "{", "[]", "null", '{"token": "x"}', '{"token": 5, "expires": 2000}']
    + ['{"token": "a\\nb", "expires": 2000}', '{"token": "x", "expires": "soon"}'],
)
def test_a_spoilt_note_of_a_token_is_not_used(service, note):
    one = service(one_eni(), accepted=["TOKEN"])
    one.notes.write("token", note)
    assert one.imds.primary_mac() == PRIMARY
    assert one.session.count("PUT") == 1


def test_without_a_place_for_the_token_all_else_works(service, tmpdir):
    tmpdir.join("run").write("a file where the directory should be")
    assert service(one_eni()).imds.primary_mac() == PRIMARY


def test_a_kept_token_of_an_earlier_life_is_replaced_once(service):
    service(one_eni()).imds.primary_mac()
    second = service(dict(one_eni(), **{"api/token": "NEW"}), accepted=["NEW"])
    assert second.imds.primary_mac() == PRIMARY
    assert second.session.count("PUT") == 1
    third = service(one_eni(), accepted=["NEW"])
    third.imds.primary_mac()
    assert third.session.count("PUT") == 0


@pytest.mark.parametrize("kept", [True, False], ids=["a kept one", "a fresh one"])
def test_a_token_that_is_refused_makes_the_service_unavailable(service, kept):
    if kept:
        service(one_eni()).imds.primary_mac()
    one = service(one_eni(), accepted=[])
    assert "401" in raised(MetadataUnavailable, one.imds.primary_mac)
    assert one.session.count("PUT") == 1
    assert one.session.count("GET") == 1 + kept


@pytest.mark.parametrize("status", [403, 404, 405])
def test_where_there_are_no_tokens_version_1_is_spoken(service, status):
    one = service(dict(one_eni(), **{"api/token": (status, "<html>no</html>")}))
    assert one.imds.primary_mac() == PRIMARY
    one.imds.macs()
    assert one.session.count("PUT") == 1
    assert all(TOKEN not in request.headers for request in one.session.requests)


@pytest.mark.parametrize(
    "answer",
    [REFUSED, TIMEOUT, CONNECT_TIMEOUT, (503, ""), (500, ""), (400, ""), (301, "")],
    ids=["refused", "silent", "unreachable", "503", "500", "400", "redirected"],
)
def test_a_failed_request_for_a_token_never_means_version_1(service, answer):
    one = service(dict(one_eni(), **{"api/token": answer}))
    raised(MetadataUnavailable, one.imds.primary_mac)
    assert one.session.count("GET") == 0


@pytest.mark.parametrize("body", ["", " \n", "<html>a b</html>", "a\nb", b"\x00\xff", "x" * 2000])
def test_what_cannot_be_a_token_is_not_sent_as_one(service, body):
    one = service(dict(one_eni(), **{"api/token": body}))
    raised(MetadataInvalid, one.imds.primary_mac)
    assert one.session.count("GET") == 0


@pytest.mark.parametrize(
    "mac, changes",
    [("02:00:00:00:00:09", {}), (SECOND, {MACS + SECOND + "/local-ipv4s": NOT_FOUND}),
     (SECOND, {MACS + SECOND + "/": "device-number\ninterface-id\nsubnet-ipv4-cidr-block"})],
    ids=["not listed", "a key goes while it is read", "a key is not listed yet"],
)
def test_an_absent_interface_is_not_an_unavailable_service_nor_waited_for(service, mac, changes):
    one = service(dict(one_eni(), **changes))
    assert one.imds.eni(mac) is None
    assert one.clock.sleeps == []


@pytest.mark.parametrize(
    "answer",
    [REFUSED, TIMEOUT, (500, ""), (502, ""), (503, ""), (504, ""), (429, ""), (400, ""), (403, "")],
    ids=["refused", "silent", "500", "502", "503", "504", "429", "400", "403"],
)
def test_a_key_without_an_answer_is_unavailable_not_absent(service, answer):
    tree = one_eni()
    tree[MACS + SECOND + "/local-ipv4s"] = answer
    one = service(tree)
    assert "\n" not in raised(MetadataUnavailable, one.imds.eni, SECOND)
    assert one.clock.passed <= settings.DEFAULTS.metadata.deadline + 1


@pytest.mark.parametrize("key, ask", [("meta-data/mac", "primary_mac"), (MACS, "macs")])
def test_a_service_without_the_keys_that_every_instance_has_is_unavailable(service, key, ask):
    one = service(dict(one_eni(), **{key: NOT_FOUND}))
    raised(MetadataUnavailable, getattr(one.imds, ask))


@pytest.mark.parametrize(
    "failure",
    [REFUSED, TIMEOUT, (503, ""), (500, "<html>"), (429, "")],
    ids=["refused", "silent", "503", "500", "429"],
)
def test_a_failure_that_passes_is_waited_for(service, failure):
    one = service(dict(one_eni(), **{"meta-data/mac": [failure, failure, PRIMARY]}))
    assert one.imds.primary_mac() == PRIMARY
    first, second = one.clock.sleeps
    assert 0 < first < second


@pytest.mark.parametrize("header, at_least", [("3", 3), ("0", 0), ("soon", 0), ("", 0), ("-1", 0)])
def test_a_busy_service_is_left_alone_as_long_as_it_asks(service, header, at_least):
    busy = (503, "", {"Retry-After": header})
    one = service(dict(one_eni(), **{"meta-data/mac": [busy, PRIMARY]}))
    assert one.imds.primary_mac() == PRIMARY
    assert len(one.clock.sleeps) == 1
    assert at_least <= one.clock.sleeps[0] < at_least + 1


@pytest.mark.parametrize("header", ["11", "3600", "9" * 400, "\u00b2"], ids=lambda text: text[:4])
def test_nobody_waits_longer_than_the_deadline(service, header):
    busy = (503, "", {"Retry-After": header})
    one = service(dict(one_eni(), **{"meta-data/mac": busy}))
    raised(MetadataUnavailable, one.imds.primary_mac)
    assert one.clock.passed <= 10


def test_the_pauses_grow_and_end_with_the_deadline(service):
    one = service(dict(one_eni(), **{"meta-data/mac": REFUSED}), changes={"deadline": 100.0})
    raised(MetadataUnavailable, one.imds.primary_mac)
    assert 80 < one.clock.passed <= 100
    assert max(one.clock.sleeps) < 6
    assert len(one.clock.sleeps) < 60


def test_many_answers_in_good_time_need_no_more_than_the_deadline_each(service):
    one = service(one_eni())
    for _ in range(5):
        one.imds.macs()
        one.clock.now += 6
    assert one.session.count("GET", MACS) == 5


@pytest.mark.parametrize("status", [301, 302, 307])
def test_a_redirection_is_not_followed(service, status):
    moved = (status, "", {"Location": "http://elsewhere/"})
    one = service(dict(one_eni(), **{"meta-data/mac": moved}))
    raised(MetadataUnavailable, one.imds.primary_mac)
    assert not any(request.redirects for request in one.session.requests)


def test_no_proxy_and_no_netrc_apply_and_every_request_has_a_time_limit(service):
    one = service(one_eni())
    one.session.trust_env = True
    one.imds.primary_mac()
    assert one.session.trust_env is False
    assert all(request.timeout for request in one.session.requests)


@pytest.mark.parametrize(
    "body",
    ["<html><body>hello</body></html>", b"\x7fELF\x00\xff", "", "no mac", "\u00e9"],
    ids=["html", "binary", "empty", "words", "accented"],
)
def test_a_body_that_is_not_the_value_is_invalid(service, body):
    one = service(dict(one_eni(), **{"meta-data/mac": body}))
    with pytest.raises(MetadataInvalid) as caught:
        one.imds.primary_mac()
    assert "mac" in caught.value.key
    assert "\n" not in "{0}".format(caught.value)


def test_a_huge_body_is_not_read_to_its_end(service):
    one = service(dict(one_eni(), **{"meta-data/mac": b"0" * 1000000}))
    raised(MetadataUnavailable, one.imds.primary_mac)


class Dripping(object):
    """An answer of which another byte comes whenever one waits, until the alarm goes off."""

    status_code = 200
    headers = {}

    def iter_content(self, _):
        yield b"0"
        os.kill(os.getpid(), signal.SIGALRM)
        yield b"2"
        raise AssertionError("nobody stopped waiting")

    def close(self):
        pass


def test_a_server_that_drips_is_given_up(service, monkeypatch):
    one = service(one_eni())
    one.imds.macs()
    monkeypatch.setattr(one.session, "request", lambda *_, **__: Dripping())
    raised(MetadataUnavailable, one.imds.macs)


def test_a_run_leaves_no_alarm_behind(service):
    def handler(*_):
        raise AssertionError("an alarm went off")

    before = signal.signal(signal.SIGALRM, handler)
    try:
        service(one_eni()).imds.primary_mac()
        assert signal.getsignal(signal.SIGALRM) is handler
        assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("and_ends", [False, True], ids=["goes on", "ends"])
def test_an_alarm_that_is_swallowed_once_does_not_lift_the_limit(service, monkeypatch, and_ends):
    one = service(one_eni(), changes={"deadline": 0.0})
    one.imds.macs()
    request, swallowed = one.session.request, []

    def swallow(*arguments, **others):
        # As a destructor does, or the `except Exception` of a library.
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.001, signal.getitimer(signal.ITIMER_REAL)[1])
            time.sleep(5)
        except Exception as error:
            swallowed.append(error)
        if not and_ends:
            time.sleep(5)
            pytest.fail("nobody stopped waiting")
        return request(*arguments, **others)

    monkeypatch.setattr(one.session, "request", swallow)
    assert "no complete answer within" in raised(MetadataUnavailable, one.imds.macs)
    assert len(swallowed) == 1


@pytest.mark.parametrize("answer", ["x", (403, ""), (503, "")], ids=["wrong", "a no", "silence"])
def test_the_next_question_has_its_own_time_but_not_after_silence(service, answer):
    one = service(dict(one_eni(), **{"meta-data/mac": answer}))
    raised((MetadataInvalid, MetadataUnavailable), one.imds.primary_mac)
    one.clock.now += 40
    one.session.answers[MACS] = [(503, ""), SECOND + "/"]
    if answer == (503, ""):
        raised(MetadataUnavailable, one.imds.macs)
    assert one.imds.macs() == [SECOND]


def test_a_question_has_no_more_time_than_it_is_given(service):
    one = service(dict(one_eni(), **{"meta-data/mac": REFUSED}))
    end = one.clock() + 3
    raised(MetadataUnavailable, one.imds.primary_mac, end)
    assert one.clock() <= end
    one.session.answers["meta-data/mac"] = [REFUSED, PRIMARY]
    assert one.imds.primary_mac() == PRIMARY


BOTH = ("http://169.254.169.254/latest", "http://[fd00:ec2::254]/latest")


def by_endpoint(one, silent):
    """Make the endpoints that contain `silent` refuse."""
    answer = one.session.request

    def request(method, url, **others):
        if silent in url:
            one.refused.append(url)
            raise REFUSED
        return answer(method, url, **others)

    one.refused = []
    one.session.request = request


def test_the_second_endpoint_is_asked_when_the_first_does_not_answer(service):
    one = service(one_eni(), changes={"endpoints": BOTH})
    by_endpoint(one, "169.254.169.254")
    assert one.imds.primary_mac() == PRIMARY
    assert one.imds.macs() == [SECOND]
    assert len(one.refused) == 1


def test_an_endpoint_that_answered_is_the_only_one_from_then_on(service):
    one = service(one_eni(), changes={"endpoints": BOTH})
    one.imds.primary_mac()
    by_endpoint(one, "169.254.169.254")
    assert "fd00" not in raised(MetadataUnavailable, one.imds.macs)


def test_an_answer_of_the_first_endpoint_is_final_also_when_it_is_an_error(service):
    one = service(dict(one_eni(), **{"meta-data/mac": (400, "")}), changes={"endpoints": BOTH})
    raised(MetadataUnavailable, one.imds.primary_mac)
    assert all("169.254.169.254" in request.url for request in one.session.requests)


def test_what_the_preferred_endpoint_said_is_reported(service):
    one = service(one_eni(), changes={"endpoints": BOTH})
    by_endpoint(one, "http://")
    said = raised(MetadataUnavailable, one.imds.primary_mac)
    assert "169.254.169.254" in said
    assert "Connection refused" in said


def test_an_interface_with_one_address_takes_few_requests(service):
    one = service(one_eni())
    assert one.imds.wait_for_eni(SECOND).addresses == ("10.0.1.10",)
    # The token, the listing, and the four keys that every ENI has.
    assert len(one.session.requests) == 6


def test_only_keys_that_are_listed_are_asked_for(service):
    texts = eni_texts(1, {"ipv4-prefix": "10.0.1.64/28", "owner-id": "1", "vpc-id": "v"})
    one = service(one_eni(texts))
    assert one.imds.eni(SECOND).prefixes == ("10.0.1.64/28",)
    asked = {request.path.rsplit("/", 1)[1] for request in one.session.requests}
    assert "owner-id" not in asked and "network-card" not in asked


def arriving(texts, *steps):
    """Return a tree whose listing shows more keys at each look: `steps` are those left out."""
    tree = one_eni(texts)
    tree[MACS + SECOND + "/"] = [
        "\n".join(sorted(set(texts) - set(left_out.split()))) for left_out in steps
    ]
    return tree


def test_a_fresh_interface_is_waited_for_key_by_key(service):
    tree = arriving(
        eni_texts(),
        "device-number interface-id local-ipv4s subnet-ipv4-cidr-block",
        "interface-id local-ipv4s subnet-ipv4-cidr-block",
        "local-ipv4s subnet-ipv4-cidr-block",
        "subnet-ipv4-cidr-block",
        "",
    )
    one = service(tree)
    assert one.imds.wait_for_eni(SECOND).interface_id == "eni-0a1"
    assert len(one.clock.sleeps) == 4


@pytest.mark.parametrize(
    "key, before, sleeps",
    [("", [NOT_FOUND, NOT_FOUND], 2), ("subnet-ipv4-cidr-block", [NOT_FOUND], 1),
     ("device-number", ["0", "0"], 2)],
    ids=["it is not listed", "a listed key is not there", "device number 0"],
)
def test_what_is_not_there_yet_is_waited_for(service, key, before, sleeps):
    tree, key = one_eni(), MACS + SECOND + "/" + key
    one = service(dict(tree, **{key: before + [tree[key]]}))
    eni = one.imds.wait_for_eni(SECOND)
    assert (eni.mac, eni.subnet, eni.device_number) == (SECOND, "10.0.1.0/24", 1)
    assert len(one.clock.sleeps) == sleeps


def test_device_number_0_is_the_primarys_own(service):
    one = service(metadata_tree({PRIMARY: eni_texts(0)}))
    assert one.imds.eni(PRIMARY, True).device_number == 0
    assert one.imds.eni(PRIMARY) is None


@pytest.mark.parametrize("deadline, most", [(30.0, 31), (5.0, 6), (0.0, 1)])
def test_an_interface_that_never_is_complete_is_unavailable(service, deadline, most):
    one = service(arriving(eni_texts(), "local-ipv4s"), changes={"attach_deadline": deadline})
    assert SECOND in raised(MetadataUnavailable, one.imds.wait_for_eni, SECOND)
    assert deadline - 5 <= one.clock.passed <= most
    assert one.session.count("GET") < 40


def test_an_interface_that_is_not_there_any_more_is_not_waited_for(service):
    one = service(arriving(eni_texts(), "local-ipv4s"))
    looks = []

    def still_there():
        looks.append(one.clock())
        if len(looks) == 3:
            raise HostError("gone")

    raised(HostError, one.imds.wait_for_eni, SECOND, still_there)
    assert len(one.clock.sleeps) == 2


def test_what_is_complete_needs_no_second_look_at_the_device(service):
    assert service(one_eni()).imds.wait_for_eni(SECOND, pytest.fail).mac == SECOND


def test_the_primary_is_asked_for_once(service):
    one = service(one_eni())
    assert one.imds.primary_mac() == one.imds.primary_mac() == PRIMARY
    assert one.session.count("GET") == 1


@pytest.mark.parametrize("answer", [(503, ""), NOT_FOUND, "02:00:00"], ids=repr)
def test_a_primary_that_was_not_told_is_asked_for_again(service, answer):
    one = service(one_eni())
    one.session.answers["meta-data/mac"] = answer
    raised((MetadataUnavailable, MetadataInvalid), one.imds.primary_mac)
    one.session.answers["meta-data/mac"] = PRIMARY
    assert one.imds.primary_mac() == PRIMARY


def test_ipv6_keys_alone_are_a_subnet_of_their_own_only_after_a_while(service):
    one = service(one_eni(ipv6_texts()))
    assert one.imds.wait_for_eni(SECOND).ipv6_only
    assert 18 < one.clock.passed < 30


def test_ipv6_keys_first_and_ipv4_keys_later_are_a_dual_stack_interface(service):
    texts = dict(ipv6_texts(), **eni_texts())
    late = "local-ipv4s subnet-ipv4-cidr-block"
    one = service(arriving(texts, late, late, "subnet-ipv4-cidr-block", ""))
    eni = one.imds.wait_for_eni(SECOND)
    assert eni.addresses == ("10.0.1.10",)
    assert eni.addresses6 == ("2600:1f18:0:1::10",)


def test_a_look_at_what_is_there_believes_ipv6_keys_at_once(service):
    assert service(one_eni(ipv6_texts())).imds.eni(SECOND).ipv6_only


def test_an_invalid_value_is_not_waited_for(service):
    one = service(one_eni(eni_texts(1, {"local-ipv4s": "$(id)"})))
    with pytest.raises(MetadataInvalid) as caught:
        one.imds.wait_for_eni(SECOND)
    assert (caught.value.key, caught.value.value) == ("local-ipv4s", "$(id)")
    assert one.clock.sleeps == []


@pytest.mark.parametrize(
    "number, primary", [("0", True), ("1", False)], ids=["the primary", "another"]
)
def test_what_an_eni_keeps_for_life_is_not_asked_for_again(service, number, primary):
    texts = eni_texts(1, {"device-number": number})
    first = service(one_eni(texts))
    reading = record.Reading(first.imds.eni(SECOND, primary), 0.0)
    again = service(one_eni(dict(texts, **{"local-ipv4s": "10.0.1.10\n10.0.1.99"})))
    again.imds.recall(reading, SECOND)
    eni = again.imds.eni(SECOND, primary)
    assert eni == reading.eni._replace(addresses=("10.0.1.10", "10.0.1.99"))
    asked = [request.path for request in again.session.requests if request.method == "GET"]
    assert asked == [MACS + SECOND + "/", MACS + SECOND + "/" + "local-ipv4s"]
    assert again.imds.primary_mac() == (SECOND if primary else PRIMARY)


def test_a_reading_of_another_eni_tells_nothing(service):
    reading = record.Reading(service(one_eni()).imds.eni(SECOND), 0.0)
    one = service(metadata_tree({THIRD: eni_texts(2)}))
    one.imds.recall(reading, THIRD)
    one.imds.recall(None, THIRD)
    assert one.imds.eni(THIRD).interface_id != reading.eni.interface_id
