"""Whole trees: the metadata and /etc of a host, and what `add` makes of them.

``EC2NET_UPDATE_GOLDEN=1`` rewrites each case's ``after`` and ``kernel``; read the difference.

A case has ``before`` and ``after``, the host's files, and ``removed`` where taking away gives
others than ``before``; ``imds.json``, the metadata service: ``mac``,
``macs`` {MAC: {key: text}}, and in ``earlier`` those of a run before, while all devices were down;
``host.json``: the ``devices``, the names to ``add``, and in ``kernel`` the lines that `ip -o`
prints by family; and ``kernel``, the lines that `ip` gets at once or when ifup runs.
"""
from __future__ import absolute_import, print_function, unicode_literals

import io
import json
import os
import shutil

import pytest

from tests.unit import flows
from tests.unit.fakes import FakeDevices, make_host, metadata_tree, nic

GOLDEN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden")
CASES = sorted(os.listdir(GOLDEN))


def load(case, name):
    with io.open(os.path.join(GOLDEN, case, name), encoding="utf-8") as stream:
        return json.load(stream)


def tree(root):
    """Return {path: bytes} of all files below `root`."""
    found = {}
    for directory, _, names in os.walk("{0}".format(root)):
        for name in names:
            path = os.path.join(directory, name)
            with open(path, "rb") as stream:
                found[os.path.relpath(path, "{0}".format(root))] = stream.read()
    return found


def host_of(tmpdir, case, enis, up):
    told = load(case, "host.json")
    devices = [
        nic(one["name"], one["mac"], up=up and one["up"], kind=one.get("kind", ""))
        for one in told["devices"]
    ]
    kernel = {
        int(family): "".join(line + "\n" for line in lines)
        for family, lines in told.get("kernel", {}).items()
    }
    answers = metadata_tree(enis, load(case, "imds.json")["mac"])
    return make_host(tmpdir, answers, FakeDevices(*devices), kernel)


def run(tmpdir, case):
    """Return what the kernel gets, as text, after adding the case's interfaces."""
    shutil.copytree(os.path.join(GOLDEN, case, "before"), "{0}".format(tmpdir.join("root")))
    metadata, names = load(case, "imds.json"), load(case, "host.json")["add"]
    if "earlier" in metadata:
        host = host_of(tmpdir, case, metadata["earlier"], up=False)
        for name in names:
            flows.add(host, name)
    host = host_of(tmpdir, case, metadata["macs"], up=True)
    lines = []
    for name in names:
        plan = flows.add(host, name)
        steps = [("-6 " if step.family == 6 else "") + step.line for step in plan.steps]
        lines += ["# {0}, {1}".format(name, "at once" if plan.live else "by ifup")] + steps
        # One `ip` a family.
        at_once = sorted(steps, key=lambda line: line.startswith("-6 ")) if plan.live else []
        assert host.runner.changes == at_once
    return "".join(line + "\n" for line in lines)


@pytest.mark.parametrize("case", CASES)
def test_add_makes_this_of_a_host(tmpdir, case):
    kernel = run(tmpdir, case)
    after = os.path.join(GOLDEN, case, "after")
    if os.environ.get("EC2NET_UPDATE_GOLDEN") == "1":
        shutil.rmtree(after, ignore_errors=True)
        shutil.copytree("{0}".format(tmpdir.join("root")), after)
        with io.open(os.path.join(GOLDEN, case, "kernel"), "w", encoding="ascii") as stream:
            stream.write(kernel)
    assert tree(tmpdir.join("root")) == tree(after)
    with io.open(os.path.join(GOLDEN, case, "kernel"), encoding="ascii") as stream:
        assert kernel == stream.read()


@pytest.mark.parametrize("case", CASES)
def test_adding_again_writes_nothing(tmpdir, case):
    run(tmpdir, case)
    before = tree(tmpdir.join("root"))
    host = host_of(tmpdir, case, load(case, "imds.json")["macs"], up=True)
    for name in load(case, "host.json")["add"]:
        assert flows.add(host, name).files == {}
    assert tree(tmpdir.join("root")) == before


@pytest.mark.parametrize("case", CASES)
def test_removing_gives_the_tree_before_back(tmpdir, case):
    run(tmpdir, case)
    told = load(case, "host.json")
    host = host_of(tmpdir, case, {}, up=True)
    for name in told["add"]:
        flows.remove(host, name)
    removed = os.path.join(GOLDEN, case, "removed")
    if not os.path.isdir(removed):
        removed = os.path.join(GOLDEN, case, "before")
    assert tree(tmpdir.join("root")) == tree(removed)
