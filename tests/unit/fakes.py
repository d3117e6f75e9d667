"""Stand-ins for this host's edges: the metadata service, devices, commands and clocks."""
from __future__ import absolute_import, print_function, unicode_literals

import fnmatch
import os
import re
from collections import namedtuple

import pytest

# urllib3 opens a socket at its first import, to find out about IPv6: that has to be over before
# the guard against sockets stands.
import requests  # noqa: F401

from ec2net_legacy import imds, settings
from ec2net_legacy.errors import HostError
from ec2net_legacy.host.command import Result
from ec2net_legacy.host.files import Files
from ec2net_legacy.host.rundir import RunDirectory
from ec2net_legacy.imds import by_requests
from ec2net_legacy.model import Device
from ec2net_legacy.ports import Host

PRIMARY = "02:00:00:00:00:01"
# `make check`, which is for every small change, tries fewer examples and fewer moments to die at.
QUICK = bool(os.environ.get("EC2NET_QUICK"))

SECOND = "02:00:00:00:00:02"
THIRD = "02:00:00:00:00:03"
MACS = "meta-data/network/interfaces/macs/"

NOT_FOUND = (404, "<?xml version='1.0'?><html><title>404 - Not Found</title></html>")
COMMON_RULES = (
    "0:\tfrom all lookup local \n32766:\tfrom all lookup main \n32767:\tfrom all lookup default \n"
)

Request = namedtuple("Request", ["method", "path", "url", "headers", "timeout", "redirects"])


def raised(kind, action, *arguments, **others):
    """Return what the error of this kind says that `action` has to raise."""
    with pytest.raises(kind) as caught:
        action(*arguments, **others)
    return "{0}".format(caught.value)


def eni_texts(number=1, changes=None):
    """Return the texts of an ENI's keys; in `changes` None removes a key."""
    texts = {
        "device-number": "{0}".format(number),
        "interface-id": "eni-0a{0}".format(number),
        "local-ipv4s": "10.0.{0}.10".format(number),
        "subnet-ipv4-cidr-block": "10.0.{0}.0/24".format(number),
    }
    texts.update(changes or {})
    return {key: text for key, text in texts.items() if text is not None}


def ipv6_texts(number=1, changes=None):
    """Return the texts of an ENI on a subnet with IPv6 only."""
    texts = {
        "local-ipv4s": None,
        "subnet-ipv4-cidr-block": None,
        "ipv6s": "2600:1f18:0:{0}::10".format(number),
        "subnet-ipv6-cidr-blocks": "2600:1f18:0:{0}::/64".format(number),
    }
    texts.update(changes or {})
    return eni_texts(number, texts)


def metadata_tree(enis, primary=PRIMARY):
    """Return {path: text} of a metadata service with `enis`, {mac: {key: text}}."""
    tree = {"meta-data/mac": primary, MACS: "\n".join(mac + "/" for mac in sorted(enis))}
    for mac, texts in enis.items():
        base = MACS + mac + "/"
        tree[base] = "\n".join(sorted(texts))
        tree.update((base + key, text) for key, text in texts.items())
    return tree


class FakeClock(object):
    """A clock that moves only when somebody sleeps by it."""

    def __init__(self, now=1000.0):
        self.now = now
        self.start = now
        self.sleeps = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.sleeps.append(seconds)
        self.now += seconds

    @property
    def passed(self):
        return self.now - self.start


class FakeAnswer(object):
    """What requests returns."""

    def __init__(self, status, body, headers):
        self.status_code = status
        self.headers = headers
        self._body = body
        self.closed = False

    def iter_content(self, size):
        for start in range(0, len(self._body), size):
            yield self._body[start : start + size]

    def close(self):
        self.closed = True


class FakeSession(object):
    """The metadata service: {path below /latest: text | (status, body[, headers]) | exception}.

    A list gives one answer after the other and then stays with its last; a callable is called.
    With `accepted` a GET needs one of these tokens.
    """

    def __init__(self, answers, accepted=None):
        self.answers = dict({"api/token": "TOKEN"}, **answers)
        self.accepted = accepted
        self.requests = []

    def request(self, method, url, headers, timeout, allow_redirects, stream):
        assert stream, "an answer of unknown size was asked for all at once"
        path = url.split("/latest/", 1)[1]
        self.requests.append(Request(method, path, url, dict(headers), timeout, allow_redirects))
        answer = self._answer(method, path, headers)
        if isinstance(answer, Exception):
            raise answer
        if not isinstance(answer, tuple):
            answer = (200, answer)
        body = answer[1]
        body = body if isinstance(body, bytes) else body.encode("utf-8")
        return FakeAnswer(answer[0], body, answer[2] if len(answer) > 2 else {})

    def _answer(self, method, path, headers):
        if (method == "PUT") != (path == "api/token"):
            return (405, "")
        token = headers.get("X-aws-ec2-metadata-token")
        if method == "GET" and self.accepted is not None and token not in self.accepted:
            return (401, "")
        answer = self.answers.get(path, NOT_FOUND)
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        return answer() if callable(answer) else answer

    def count(self, method, path=None):
        """Return how many requests there were."""
        return sum(1 for one in self.requests if one.method == method and path in (None, one.path))


class FakeDevices(object):
    """Devices as sysfs shows them: {name: Device, or a list of what successive looks show}."""

    def __init__(self, *devices):
        self.shown = {device.name: device for device in devices}
        self.kernel_has_ipv6 = True
        # {name: link group} other than 0; the runner's. None: a kernel without.
        self.groups = {}

    def names(self):
        return sorted(self.shown)

    def has_ipv6(self):
        return self.kernel_has_ipv6

    def device(self, name):
        shown = self.shown.get(name)
        if isinstance(shown, list):
            return shown.pop(0) if len(shown) > 1 else shown[0]
        return shown

    def group(self, name):
        if self.groups is None or name not in self.shown:
            return None
        return self.groups.get(name, 0)


class FakeSysctl(object):
    """Kernel parameters: {name: value}; one of `refused` cannot be set."""

    def __init__(self, names):
        self.values = {
            "net/ipv4/conf/{0}/{1}".format(name, key): "0"
            for name in names
            for key in ("rp_filter", "arp_ignore", "arp_announce")
        }
        for name in names:
            base = "net/ipv6/conf/{0}/".format(name)
            self.values[base + "accept_ra"] = self.values[base + "accept_ra_pinfo"] = "1"
            self.values[base + "ra_defrtr_metric"] = "1024"
        self.defaults = dict(self.values)
        self.refused = set()
        self.written = []

    def read(self, name):
        return self.values.get(name)

    def number(self, name):
        value = self.read(name)
        return int(value) if value is not None and value.isdigit() else None

    def write(self, name, value):
        if name not in self.values or name in self.refused:
            raise HostError("cannot set {0} to {1}: Read-only file system".format(name, value))
        self.written.append((name, value))
        self.values[name] = value


class FakeMangle(object):
    """The table mangle of a family: {chain: rules without their ``-A CHAIN``}."""

    BUILT_IN = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")

    def __init__(self):
        self.chains = {name: [] for name in self.BUILT_IN}

    def save(self):
        """Return what ``iptables-save -t mangle`` prints."""
        names = list(self.BUILT_IN) + sorted(set(self.chains) - set(self.BUILT_IN))
        policy = dict.fromkeys(self.BUILT_IN, "ACCEPT")
        lines = ["# Generated by iptables-save v1.8.7", "*mangle"]
        lines += [":{0} {1} [0:0]".format(name, policy.get(name, "-")) for name in names]
        lines += ["-A {0} {1}".format(name, rule) for name in names for rule in self.chains[name]]
        return "\n".join(lines + ["COMMIT", "# Completed"]) + "\n"

    def restore(self, text, noflush):
        """Do what iptables-restore does with `text`, all or nothing; return what is wrong."""
        lines = text.splitlines()
        if lines[:1] != ["*mangle"] or lines[-1:] != ["COMMIT"]:
            return "no COMMIT"
        new = FakeMangle()
        if noflush:
            new.chains = {name: list(rules) for name, rules in self.chains.items()}
        for number, line in enumerate(lines[1:-1], 2):
            problem = new.apply(line)
            if problem:
                return "line {0} failed: {1}".format(number, problem)
        self.chains = new.chains
        return ""

    def apply(self, line):
        """Carry out one line; return what is wrong with it."""
        verb, name, rule = (line.split(" ", 2) + ["", ""])[:3]
        if verb.startswith(":"):
            self.chains[verb[1:]] = []
            return ""
        if name not in self.chains or self._target(rule) not in self._targets():
            return "No chain/target/match by that name"
        return {
            "-A": self._append, "-I": self._insert, "-D": self._delete, "-X": self._remove,
        }[verb](name, rule)

    @staticmethod
    def _target(rule):
        words = re.sub(r'"(\\.|[^"])*"', "", rule).split()
        return dict(zip(words, words[1:])).get("-j", "")

    def _targets(self):
        return set(self.chains) | {"", "ACCEPT", "CONNMARK", "DROP", "MARK", "RETURN"}

    def _append(self, name, rule):
        self.chains[name].append(rule)
        return ""

    def _insert(self, name, rule):
        number, _, rule = rule.partition(" ")
        self.chains[name].insert(int(number) - 1, rule)
        return ""

    def _delete(self, name, rule):
        if rule not in self.chains[name]:
            return "Bad rule (does a matching rule exist in that chain?)"
        self.chains[name].remove(rule)
        return ""

    def _remove(self, name, _):
        if any(self._target(rule) == name for rules in self.chains.values() for rule in rules):
            return "Too many links"
        if self.chains[name]:
            return "Directory not empty"
        del self.chains[name]
        return ""


def nic(name, mac, up=False, kind="", master="", index=2, ipv6=True):  # noqa: PLR0913
    """Return a Device."""
    return Device(name=name, mac=mac, kind=kind, master=master, up=up, index=index, ipv6=ipv6)


_WITH_SUBNET = re.compile(r"\d+: (\S+)    inet ((\d+\.\d+\.\d+)\.\d+)/24 ")


def with_connected(lines):
    """Return `lines` and main's routes that the kernel makes by itself for an address, a /24.

    Not where ours is: that has replaced it.
    """
    found = [match.groups() for match in map(_WITH_SUBNET.match, lines) if match]
    routes = []
    for device, address, net in found:
        ours = "{0}.0/24 dev {1} scope link metric ".format(net, device)
        if not any(line.startswith(ours) for line in lines):
            routes.append("{0}.0/24 dev {1} proto kernel scope link src {2} ".format(
                net, device, address
            ))
    return list(lines) + [route for route in routes if route not in lines]


class FakeRunner(object):
    """Records commands, and is the kernel: `kernel` is what `ip -o` prints by family.

    A batch changes that, unless `answer` is a failure or `frozen` is set. A line of `refused`
    fails with the reason that it has there; a `lenient` kernel, as before 4.8, takes a rule twice.
    One of `main_first` "refuses" the conditions of that rule, or "ignores" them. `groups` are link
    groups, `names` alternative names by device, None where rtnetlink does not tell them; without
    `knows_names` `ip` does not know of any. `mangle` is the table by family. A program of `missing`
    is not installed, one of `failing` fails with the reason that it has there; `old_restore` knows
    no -w.
    """

    def __init__(self, kernel=None):
        self.kernel = {4: COMMON_RULES, 6: COMMON_RULES}
        self.kernel.update(kernel or {})
        self.answer = Result(0, "", "")
        self.frozen = False
        self.lenient = False
        self.refused = {}
        self.main_first = {4: "knows", 6: "knows"}
        self.groups = {}
        self.names = None
        self.knows_names = True
        self.mangle = {4: FakeMangle(), 6: FakeMangle()}
        self.missing = set()
        self.failing = {}
        self.old_restore = False
        self.statuses = {}
        self.ran = []
        self.shown = []
        self.order = []

    def run(self, argv, stdin=""):
        self.ran.append((list(argv), stdin))
        self.order.append(list(argv))
        if argv[0] in self.missing:
            raise HostError("cannot run {0}: No such file or directory".format(argv[0]))
        if argv[0] in self.failing:
            return Result(3, "", "{0}: {1}\n".format(argv[0], self.failing[argv[0]]))
        if argv[0].startswith(("iptables-", "ip6tables-")):
            return self._iptables(argv, stdin)
        family = 6 if "-6" in argv else 4
        if "-o" in argv:
            return Result(0, self.kernel[family], "")
        if self.answer.returncode == 0 and not self.frozen and argv[0] == "ip":
            return self._batch(family, stdin.splitlines())
        return self.answer

    def _iptables(self, argv, stdin):
        program, verb = argv[0].split("-")
        mangle = self.mangle[6 if program == "ip6tables" else 4]
        if verb == "save":
            assert argv[1:] == ["-t", "mangle"]
            return Result(0, mangle.save(), "")
        if self.old_restore and "-w" in argv:
            return Result(1, "", "{0}: unrecognized option '-w'\n".format(argv[0]))
        problem = mangle.restore(stdin, "--noflush" in argv)
        return Result(1 if problem else 0, "", problem and argv[0] + ": " + problem + "\n")

    def _batch(self, family, commands):
        lines, said = self.kernel[family].splitlines(), []
        for number, command in enumerate(commands, 1):
            reason = self.refused.get(command, "")
            if not reason and command.startswith("link "):
                reason = self._link(*command.split()[1:])
                if not reason:
                    continue
                if reason.startswith("Command "):
                    said.append(reason)
                    break
            understood = command
            if "suppress_" in command and self.main_first[family] == "refuses":
                reason = "Invalid argument"
            elif "suppress_" in command and self.main_first[family] == "ignores":
                understood = command.split(" suppress_")[0]
            if not reason:
                lines, reason = applied(lines, understood, family, self.lenient)
            if reason:
                said += ["RTNETLINK answers: " + reason, "Command failed -:{0}".format(number)]
        self.kernel[family] = "".join(line + "\n" for line in lines)
        return Result(1 if said else 0, "", "".join(line + "\n" for line in said))

    def _link(self, what, *words):
        """Set a link group, or give or take away an alternative name; return what is wrong."""
        if what == "set":
            self.groups[words[1]] = int(words[3])
            return ""
        if not self.knows_names:
            return 'Command "property" is unknown, try "ip link help".'
        verb, _, device, _, name = words
        there = self.names.setdefault(device, [])
        if verb == "del":
            if name not in there:
                return "Invalid argument"
            there.remove(name)
        elif name in self.names or any(name in names for names in self.names.values()):
            return "File exists"
        else:
            there.append(name)
        return ""

    def run_visibly(self, argv, limit):
        self.shown.append(list(argv))
        self.order.append(list(argv))
        return self.statuses.get(argv[0], 0)

    @property
    def reads(self):
        """How often the kernel was read."""
        return sum(1 for argv, _ in self.ran if "-o" in argv)

    @property
    def changes(self):
        """The lines given to `ip` that change something."""
        lines = []
        for argv, stdin in self.ran:
            if argv[0] == "ip" and "-o" not in argv:
                flag = "-6 " if "-6" in argv else ""
                lines += [flag + line for line in stdin.splitlines()]
        return lines


_NUMBER = re.compile(r"\d+:\Z")
_TYPES = (
    "anycast", "blackhole", "broadcast", "local", "multicast", "prohibit", "throw", "unreachable"
)


def _value(words, keyword, default=""):
    return words[words.index(keyword) + 1] if keyword in words[:-1] else default


def _without(words, *keywords):
    """Return the words without these and the one behind each."""
    left_out = {index + more for index, word in enumerate(words) for more in (0, 1)
                if word in keywords}
    return [word for index, word in enumerate(words) if index not in left_out]


def identity(line, family):
    """Return what tells the thing that a line of `ip -o` shows from the others of its kernel.

    A reading of its own: the product's parser must not be the judge of what it reads itself.
    """
    words = line.split()
    if _NUMBER.match(words[0]) and words[2] in ("inet", "inet6"):
        address, length = words[3], _value(words, "peer", words[3]).split("/")[1]
        return "address", words[1].split("@")[0], address.split("/")[0], length
    if _NUMBER.match(words[0]):
        return ("rule",) + tuple(_without(words, "proto"))
    kind = words.pop(0) if words[0] in _TYPES else "unicast"
    # By several ways: as it is.
    ways = tuple(words) if "nexthop" in words else ()
    place = place_of(line, family)
    # In main others may be beside it; elsewhere a deletion takes it whoever made it.
    by_kernel = _value(words, "proto") == "kernel" and "via" not in words and "main" in place
    return place + (
        kind,
        _value(words, "via"),
        _value(words, "dev"),
        _value(words, "src") if by_kernel else "",
    ) + ways


def place_of(line, family):
    """Return where the route of a line is, which is a place for one; None of another thing."""
    words = line.split()
    # An address or a rule.
    if _NUMBER.match(words[0]):
        return None
    if words[0] in _TYPES:
        words = words[1:]
    table = _value(words, "table", "main")
    metric = _value(words, "metric", "0")
    return (
        "route",
        words[0],
        {"254": "main", "255": "local"}.get(table, table),
        # What IPv6 takes where it was given none.
        "0" if (family, metric) == (6, "1024") else metric,
    )


def applied(lines, command, family, lenient=False):
    """Return what `ip -o` prints after `ip COMMAND` if it printed `lines` before, and an error."""
    kind, verb, arguments = command.split(" ", 2)
    if kind == "addr":
        address, _, device = arguments.split()
        shown = "9: {0}    inet{1} {2} scope global {0}".format(
            device, "6" if ":" in address else "", address
        )
    elif kind == "rule":
        _, priority, rest = arguments.split(" ", 2)
        rest = rest if rest.startswith("from") else "from all " + rest
        shown = "{0}:\t{1} ".format(priority, rest)
    else:
        shown = arguments
    what, place = identity(shown, family), place_of(shown, family)
    there = [index for index, line in enumerate(lines) if identity(line, family) == what]
    if verb == "del":
        if not there:
            return lines, "No such process"
        return lines[: there[0]] + lines[there[0] + 1 :], ""
    if verb == "replace":
        return [line for line in lines if place_of(line, family) != place] + [shown], ""
    if there and not (lenient and kind == "rule"):
        return lines, "File exists"
    # Only `append` puts a second one there, as the kernel does for an address.
    is_taken = any(place_of(line, family) == place for line in lines)
    if kind == "route" and verb == "add" and is_taken:
        return lines, "File exists"
    return lines + [shown], ""


class FakeReader(object):
    """Files as a distribution sees them, from {path: text}."""

    def __init__(self, files):
        self.files = dict(files)

    def exists(self, path):
        return path in self.files or any(one.startswith(path + "/") for one in self.files)

    def may_write(self, path):
        return True

    def read(self, path):
        return self.files.get(path)

    def glob(self, pattern):
        # Like a shell's, "*" stays within a directory and takes no leading dot.
        parts = pattern.split("/")
        return sorted(path for path in self.files if _matches(path.split("/"), parts))

    def put(self, files):
        """Carry out what a distribution returned."""
        for path, text in files.items():
            if text is None:
                self.files.pop(path, None)
            else:
                self.files[path] = text


def _matches(path, pattern):
    return len(path) == len(pattern) and all(
        fnmatch.fnmatchcase(one, wanted)
        and (not one.startswith(".") or wanted.startswith("."))
        for one, wanted in zip(path, pattern)
    )


def no_netlink(family):
    """The fake kernel prints text; tests/netns compares both ways of reading a real one."""
    raise HostError("rtnetlink: none here")


def names_of(host):
    """Return the alternative names of each device, as rtnetlink tells them."""
    if host.runner.names is None:
        return no_netlink(0)
    there = dict.fromkeys(host.devices.shown, ())
    there.update(host.runner.names)
    return {name: frozenset(names) for name, names in there.items()}


def make_host(root, answers, devices, kernel=None, changes=None):
    """Return a Host whose files are below `root` and whose other edges are fakes.

    `changes` are settings other than the defaults. The fakes are the attributes `session`,
    `runner`, `devices`, `sysctl` and `clock` of the host.
    """
    root = "{0}".format(root)
    chosen = settings.DEFAULTS._replace(run_directory=root + "/run", **(changes or {}))
    runner = FakeRunner(kernel)
    clock = FakeClock()
    session = FakeSession(answers)
    service = imds.Imds(
        chosen.metadata,
        RunDirectory(chosen.run_directory),
        by_requests.Transport(chosen.metadata, session),
        clock=clock,
        sleep=clock.sleep,
        wall_clock=clock,
    )
    files = Files(root + "/root")
    host = Host(chosen, files=files, runner=runner, devices=devices, imds=service)
    host.run_directory = RunDirectory(chosen.run_directory, clock, clock.sleep)
    host.netlink = no_netlink
    host.names_by_netlink = lambda: names_of(host)
    host.sysctl = FakeSysctl(devices.shown)
    if devices.groups is not None:
        devices.groups = runner.groups
    host.clock = clock
    host.sleep = clock.sleep
    host.session = session
    host.ancestors = lambda: []
    host.has_dhclient = lambda name: False
    host.has_dhclient6 = lambda name: False
    host.hand_over = lambda runner, names, wait: list(names)
    host.ended = []
    host.end_dhclient = host.ended.append
    return host
