"""The installed commands in the lab; where that cannot run they are skipped, in CI failed."""

import os
from pathlib import Path

import pytest

from tests import lab as vpc
from tests.lab import networkd

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PYTHON = "/usr/bin/python3"

# For a story that is the same with ifupdown and with network-scripts.
on_both = pytest.mark.parametrize("lab", ["debian", "rhel"], indirect=True)
# And for one that is the same with systemd-networkd; its versions are compared in test_networkd.py.
on_all = pytest.mark.parametrize("lab", ["debian", "rhel", "networkd-252"], indirect=True)


@pytest.fixture(scope="session", autouse=True)
def lab_is_available():
    """Say why the lab cannot run; in CI that is a failure."""
    reason = vpc.available()
    if reason:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no lab: " + reason)


@pytest.fixture
def build_bare():
    """A function that builds a lab without the product; all are closed after the test."""
    labs = []

    def built(**options):
        if options.get("distribution") == "rhel":
            # As its /usr/lib/sysctl.d says: a packet that would be answered by another interface
            # is dropped.
            options.setdefault("rp_filter", 1)
        if options.get("distribution") == "networkd":
            reason = networkd.available(options["networkd"])
            if reason:
                pytest.skip(reason)
        labs.append(vpc.Lab(**options))
        return labs[-1]

    yield built
    for lab in labs:
        lab.close()


@pytest.fixture
def build(build_bare):
    """A function that builds a lab with the product installed; all are closed after the test."""
    def built(**options):
        lab = build_bare(**options)
        lab.host(["make", "-s", "-C", str(REPOSITORY), "install", "PYTHON=" + PYTHON,
                  # What would run by itself, the tests call when they want it.
                  "REFRESH=no"])
        return lab

    return built


@pytest.fixture
def lab(build, request):
    """A lab with the product installed and nothing but the primary ENI attached."""
    distribution, _, version = getattr(request, "param", "debian").partition("-")
    return build(distribution=distribution, networkd=version or None)
