"""The file for Prometheus: what a refresh writes there, and that nothing about it is its matter."""
from __future__ import absolute_import, print_function, unicode_literals

import logging
import os
import stat

import pytest

from ec2net_legacy import metrics, runs
from ec2net_legacy.commands import survey
from ec2net_legacy.errors import CommandError, HostError, LockHeld, MetadataUnavailable
from tests.unit.fakes import SECOND, eni_texts
from tests.unit.hosts import Hosts, card, inet, kernel_with

PATH = "/var/lib/node/ec2net.prom"
SET = {"metrics_file": PATH}
NOW = 1700000000.0


class Measured(object):
    """Refreshes of one host, and what they write."""

    def __init__(self, tmpdir):
        self.hosts = Hosts(tmpdir)
        self.hosts.file(PATH[1:]).dirpath().ensure(dir=True)
        self.host = None
        self.code = None

    def refresh(self, *devices, **others):
        """Return {metric with its labels: value} after a refresh."""
        others.setdefault("changes", SET)
        if self.host is None:
            # What the leases of both bring.
            leases = inet("10.0.0.10/24", "eth0"), inet("10.0.1.10/24")
            others["kernel"] = kernel_with(*leases)
        now = others.pop("now", NOW)
        prepare = others.pop("prepare", lambda host: None)
        self.host = self.hosts(*devices, after=self.host, **others)
        self.host.wall_clock = lambda: now
        prepare(self.host)
        self.code = runs.refresh(self.host, None)
        return self.written()

    def written(self):
        """Return what the file says now."""
        lines = self.hosts.file(PATH[1:]).read().splitlines()
        pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
        return {name.replace("ec2net_", "", 1): float(value) for name, value in pairs}


@pytest.fixture
def measured(tmpdir):
    return Measured(tmpdir)


def test_a_refresh_tells_enis_changes_and_times(measured):
    found = measured.refresh(card(up=True), enis={SECOND: eni_texts(1)})
    assert measured.code == 0
    assert found['enis{state="in_step"}'] == 1
    # The primary, which has no further address.
    assert found['enis{state="unmanaged"}'] == 1
    assert found['enis{state="unknown"}'] == found['enis{state="differs"}'] == 0
    assert found['changes_total{what="file"}'] >= 1
    assert found['changes_total{what="all_enis"}'] >= 1
    assert found["refreshes_total"] == 1
    assert found["refresh_exit_code"] == 0
    assert found["metadata_last_success_timestamp_seconds"] == NOW
    assert found["refresh_timestamp_seconds"] == NOW
    assert not any(value for name, value in found.items() if name.startswith("errors_total"))


def test_what_is_counted_grows_and_nothing_changed_adds_nothing(measured):
    enis = {SECOND: eni_texts(1)}
    before = measured.refresh(card(up=True), enis=enis)
    after = measured.refresh(card(up=True), enis=enis)
    again = measured.refresh(card(up=True), enis=enis)
    assert again["refreshes_total"] == before["refreshes_total"] + 2
    assert [again[one] for one in again if one.startswith("changes_total")] == [
        after[one] for one in after if one.startswith("changes_total")
    ]


def test_without_metadata_the_last_reading_stays_and_errors_are_counted(measured):
    enis = {SECOND: eni_texts(1)}
    measured.refresh(card(up=True), enis=enis)
    with pytest.raises(MetadataUnavailable):
        measured.refresh(card(up=True), enis=enis, down=True, now=NOW + 60)
    found = measured.written()
    assert found["metadata_last_success_timestamp_seconds"] == NOW
    assert found["refresh_timestamp_seconds"] == NOW + 60
    assert found['errors_total{kind="metadata_unavailable"}'] == 1
    assert found["refresh_exit_code"] == 75
    assert found['enis{state="unknown"}'] == 1
    found = measured.refresh(card(up=True), enis=enis, now=NOW + 120)
    assert found["metadata_last_success_timestamp_seconds"] == NOW + 120
    assert found['errors_total{kind="metadata_unavailable"}'] == 1
    assert found["refresh_exit_code"] == 0


def test_an_eni_of_which_metadata_says_something_wrong_is_unknown(measured):
    broken = {"local-ipv4s": "nonsense"}
    measured.refresh(card(up=True), enis={SECOND: eni_texts(1)})
    found = measured.refresh(card(up=True), enis={SECOND: eni_texts(1, broken)})
    assert found['enis{state="unknown"}'] == 1
    assert found['enis{state="in_step"}'] == 0
    assert found['errors_total{kind="metadata_invalid"}'] == 1
    assert found["refresh_exit_code"] == 1


def test_unset_nothing_is_looked_at_nor_remembered(measured, monkeypatch):
    monkeypatch.setattr(survey, "survey", None)
    measured.host = measured.hosts(card(up=True), enis={SECOND: eni_texts(1)})
    assert runs.refresh(measured.host, None) == 0
    assert "metrics" not in measured.hosts.notes


def test_a_refresh_of_one_interface_says_nothing(measured):
    measured.host = measured.hosts(card(up=True), changes=SET)
    runs.refresh(measured.host, "eth1")
    assert not measured.hosts.file(PATH[1:]).check()


@pytest.mark.parametrize("problem", [HostError("full"), ValueError("mistake")])
def test_whatever_is_in_its_way_the_refresh_is_what_it_is(measured, caplog, monkeypatch, problem):
    def fail(*_):
        raise problem

    measured.host = measured.hosts(card(up=True), enis={SECOND: eni_texts(1)}, changes=SET)
    monkeypatch.setattr(metrics, "text", fail)
    with caplog.at_level(logging.WARNING, "ec2net_legacy"):
        assert runs.refresh(measured.host, None) == 0
    assert "{0} is not written: {1}".format(PATH, problem) in caplog.text
    assert not measured.hosts.file(PATH[1:]).check()


def test_a_directory_in_its_place_is_no_failure_either(measured, caplog):
    measured.hosts.file(PATH[1:]).ensure(dir=True)
    measured.host = measured.hosts(card(up=True), enis={SECOND: eni_texts(1)}, changes=SET)
    assert runs.refresh(measured.host, None) == 0
    assert "not written" in caplog.text


def test_everybody_may_read_the_file_and_only_the_file_is_left(measured):
    before = os.umask(0o077)
    try:
        measured.refresh(card(up=True))
    finally:
        os.umask(before)
    path = measured.hosts.file(PATH[1:])
    assert stat.S_IMODE(os.stat(str(path)).st_mode) == 0o644
    assert [one.basename for one in path.dirpath().listdir()] == ["ec2net.prom"]


@pytest.mark.parametrize("note", ["", "{}", "[]", "x", '{"refreshes": "many"}', '{"changes": 1}'])
def test_a_damaged_note_begins_anew(measured, note):
    def damage(host):
        host.run_directory.write("metrics", note)

    found = measured.refresh(card(up=True), prepare=damage)
    assert found["refreshes_total"] == 1


@pytest.mark.parametrize(
    "error, kind",
    [
        (LockHeld("x"), "lock"),
        (CommandError(["ip"], 1, ""), "command"),
        (HostError("x"), "host"),
        (MetadataUnavailable("x"), "metadata_unavailable"),
        (OSError("x"), "other"),
    ],
    ids=lambda value: value if isinstance(value, type("")) else type(value).__name__,
)
def test_each_error_is_of_one_kind(error, kind):
    assert metrics.kind_of(error) == kind
