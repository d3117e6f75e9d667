"""Machines for the tests; where they cannot be made the tests are skipped, in CI failed."""

import contextlib
import os
from typing import Any, Callable, Iterator, Sequence

import pytest

from tests.lab import Lab
from tests.vm import Machine, available
from tests.vm.image import RELEASES
from tests.vm.snapshot import snapshot
from tests.vm.watch import evidence, refresh


def on_releases(group: str, kind: str = "ifupdown",
                releases: Sequence[str] = ()) -> pytest.MarkDecorator:
    """Each test of a module on one machine of each release; the machines may run in parallel.

    Where ``kind`` is another, the module's ``options`` have it, too. ``releases``: which ones,
    where they are others than the kind's usual ones.
    """
    return pytest.mark.parametrize(
        "machine",
        [pytest.param(release, marks=pytest.mark.xdist_group(f"{release}-{group}"))
         for release in releases or RELEASES[kind]],
        indirect=True, scope="module",
    )


def pytest_configure(config: pytest.Config) -> None:
    """The mark is pytest-xdist's, without which the tests run one after the other."""
    config.addinivalue_line("markers", "xdist_group(name): the tests of a group share a process")


@pytest.fixture(scope="session", autouse=True)
def machines_are_available() -> None:
    """Say why there can be no machine; in CI that is a failure."""
    reason = available()
    if reason:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no machine: " + reason)


@contextlib.contextmanager
def prepared_machine(release: str, kind: str = "ifupdown", predictable: bool = False,
                     **options: Any) -> Iterator[Machine]:
    """A machine with the product installed, in a lab with `options`."""
    saved = snapshot(release, kind, install)
    with Lab(machine=True, **options) as lab:
        made = Machine(lab, release, kind=kind, predictable=predictable, disk=saved.disk)
        try:
            if predictable:
                # The kernel's command line is another one.
                failed = made.boot()
                assert not failed, failed
            else:
                made.resume(saved.memory)
            yield made
        finally:
            made.close()


def install(machine: Machine) -> None:
    """Install the product on a machine that has booted."""
    machine.install()
    # What the first one leaves in /run is not of any ENI that comes later.
    refresh(machine)


@pytest.fixture(scope="module")
def options() -> "dict[str, Any]":
    """How the module's machines differ from the usual; for modules to override."""
    return {}


@pytest.fixture(scope="module")
def machine(request: pytest.FixtureRequest, options: "dict[str, Any]") -> Iterator[Machine]:
    """A machine that has booted and has the product installed, with the primary ENI alone."""
    with prepared_machine(request.param, **options) as made:
        yield made


@pytest.fixture
def report(request: pytest.FixtureRequest, machine: Machine) -> Callable[[str], None]:
    """A function that puts a line into the summary at the end."""
    def add(text: str) -> None:
        line = f"{machine.release}, {request.node.originalname}: {text}"
        print(line)
        request.node.user_properties.append(("vm", line))

    return add


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: "pytest.CallInfo[None]"
                              ) -> "Iterator[None]":
    """Show what a failure is to be understood by."""
    result = yield
    machine = getattr(item, "funcargs", {}).get("machine")
    if result.failed and machine is not None and machine.running:
        result.sections += evidence(machine).items()
    return result


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what the tests have measured."""
    lines = [
        text
        for reports in terminalreporter.stats.values()
        for report in reports
        for key, text in getattr(report, "user_properties", ())
        if key == "vm" and report.when == "call"
    ]
    if lines:
        terminalreporter.section("measured on the machines")
        for line in sorted(lines):
            terminalreporter.line(line)
