"""The file for Prometheus, written by real refreshes, read by Prometheus' own parser."""

import stat

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.netns.driver import write

PATH = "/var/lib/node-exporter/ec2net.prom"


@pytest.fixture
def lab(build):
    """A host with two ENIs that are up, whose settings ask for metrics."""
    lab = build(distribution="debian")
    lab.host(["mkdir", "-p", PATH.rpartition("/")[0]])
    write(lab, "/etc/ec2net/ec2net.conf",
          "metrics_file = {}\n[metadata]\ndeadline = 1\n".format(PATH))
    for number in (1, 2):
        name = "eth{}".format(number)
        lab.attach(name, subnet="10.0.{}.0/24".format(number), addresses=2)
        lab.host(["ec2ifup", name])
    return lab


def metrics(lab):
    """Return {(sample, labels): value} of the file, which has to be of a right form throughout."""
    found = {}
    for family in text_string_to_metric_families(lab.host(["cat", PATH]).stdout):
        assert family.name.startswith("ec2net_")
        assert family.type in ("gauge", "counter")
        assert family.documentation
        for sample in family.samples:
            found[sample.name, "".join(sample.labels.values())] = sample.value
    return found


def test_refreshes_tell_what_they_found_and_did(lab):
    assert lab.host(["ec2net", "refresh"]).stderr == ""
    first = metrics(lab)
    assert first["ec2net_enis", "in_step"] == 2
    assert first["ec2net_enis", "unmanaged"] == 1
    assert first["ec2net_refresh_exit_code", ""] == 0
    now = float(lab.host(["date", "+%s"]).stdout)
    assert abs(now - first["ec2net_metadata_last_success_timestamp_seconds", ""]) < 60
    assert 0 < first["ec2net_refresh_duration_seconds", ""] < 60
    mode = lab.host(["stat", "-c", "%a %U %F", PATH]).stdout
    assert mode == "{:o} root regular file\n".format(stat.S_IMODE(0o644))
    assert lab.host(["ls", "-A", PATH.rpartition("/")[0]]).stdout == "ec2net.prom\n"

    lab.assign("eth1", "10.0.1.77")
    lab.host(["ec2net", "refresh"])
    second = metrics(lab)
    assert second["ec2net_changes_total", "file"] == first["ec2net_changes_total", "file"] + 1
    assert second["ec2net_changes_total", "kernel"] > first["ec2net_changes_total", "kernel"]
    assert second["ec2net_refreshes_total", ""] == 2

    lab.host(["sed", "-i", r"s,^\[metadata\],&\nendpoints = http://127.0.0.1:1/latest,",
              "/etc/ec2net/ec2net.conf"])
    assert lab.host(["ec2net", "refresh"], check=False).returncode == 75
    third = metrics(lab)
    assert third["ec2net_errors_total", "metadata_unavailable"] == 1
    assert third["ec2net_refresh_exit_code", ""] == 75
    assert third["ec2net_enis", "in_step"] == 0 < third["ec2net_enis", "unknown"]
    last = "ec2net_metadata_last_success_timestamp_seconds", ""
    assert third[last] == second[last]


def test_a_directory_that_is_missing_is_told_and_the_refresh_goes_on(lab):
    lab.host(["rm", "-r", "/var/lib/node-exporter"])
    lab.host(["sed", "-i", "s,node-exporter,a/b,", "/etc/ec2net/ec2net.conf"])
    lab.assign("eth1", "10.0.1.77")
    done = lab.host(["ec2net", "refresh"])
    assert "is not written" in done.stderr
    assert "10.0.1.77" in lab.host(["ip", "rule"]).stdout
