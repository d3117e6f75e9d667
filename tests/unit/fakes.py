"""Stand-ins for this host's edges: the metadata service, devices, commands and clocks."""
from __future__ import absolute_import, print_function, unicode_literals

import fnmatch
from collections import namedtuple

# urllib3 opens a socket at its first import, to find out about IPv6: that has to be over before
# the guard against sockets stands.
import requests  # noqa: F401

from ec2net_legacy import imds, settings
from ec2net_legacy.host.command import Result
from ec2net_legacy.host.files import Files
from ec2net_legacy.host.rundir import RunDirectory
from ec2net_legacy.kernel import parse
from ec2net_legacy.model import Device
from ec2net_legacy.plan import Host

PRIMARY = "02:00:00:00:00:01"
SECOND = "02:00:00:00:00:02"
THIRD = "02:00:00:00:00:03"
MACS = "meta-data/network/interfaces/macs/"

NOT_FOUND = (404, "<?xml version='1.0'?><html><title>404 - Not Found</title></html>")
COMMON_RULES = (
    "0:\tfrom all lookup local \n32766:\tfrom all lookup main \n32767:\tfrom all lookup default \n"
)

Request = namedtuple("Request", ["method", "path", "url", "headers", "timeout", "redirects"])


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
        return sum(
            1 for one in self.requests if one.method == method and path in (None, one.path)
        )


class FakeDevices(object):
    """Devices as sysfs shows them: {name: Device, or a list of what successive looks show}."""

    def __init__(self, *devices):
        self.shown = {device.name: device for device in devices}
        self.kernel_has_ipv6 = True

    def names(self):
        return sorted(self.shown)

    def has_ipv6(self):
        return self.kernel_has_ipv6

    def device(self, name):
        shown = self.shown.get(name)
        if isinstance(shown, list):
            return shown.pop(0) if len(shown) > 1 else shown[0]
        return shown


def nic(name, mac, up=False, kind="", master="", index=2, ipv6=True):  # noqa: PLR0913
    """Return a Device."""
    return Device(
        name=name, mac=mac, kind=kind, master=master, up=up, index=index, ipv6=ipv6
    )


class FakeRunner(object):
    """Records commands, and is the kernel: `kernel` is what `ip -o` prints by family.

    A batch changes that, unless `answer` is a failure or `frozen` is set. A line of `refused`
    fails with the reason that it has there; a `lenient` kernel, as before 4.8, takes a rule twice.
    """

    def __init__(self, kernel=None):
        self.kernel = {4: COMMON_RULES, 6: COMMON_RULES}
        self.kernel.update(kernel or {})
        self.answer = Result(0, "", "")
        self.frozen = False
        self.lenient = False
        self.refused = {}
        self.statuses = {}
        self.ran = []
        self.shown = []

    def run(self, argv, stdin=""):
        self.ran.append((list(argv), stdin))
        family = 6 if "-6" in argv else 4
        if "-o" in argv:
            return Result(0, self.kernel[family], "")
        if self.answer.returncode == 0 and not self.frozen and argv[0] == "ip":
            return self._batch(family, stdin.splitlines())
        return self.answer

    def _batch(self, family, commands):
        lines, said = self.kernel[family].splitlines(), []
        for number, command in enumerate(commands, 1):
            reason = self.refused.get(command, "")
            if not reason:
                lines, reason = applied(lines, command, self.lenient)
            if reason:
                said += ["RTNETLINK answers: " + reason, "Command failed -:{0}".format(number)]
        self.kernel[family] = "".join(line + "\n" for line in lines)
        return Result(1 if said else 0, "", "".join(line + "\n" for line in said))

    def run_visibly(self, argv):
        self.shown.append(list(argv))
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
            if "-o" not in argv:
                flag = "-6 " if "-6" in argv else ""
                lines += [flag + line for line in stdin.splitlines()]
        return lines


def applied(lines, command, lenient=False):
    """Return what `ip -o` prints after `ip COMMAND` if it printed `lines` before, and an error."""
    kind, verb, arguments = command.split(" ", 2)
    if kind == "addr":
        address, _, device = arguments.split()
        shown = "9: {0}    inet{1} {2} scope global {0}".format(
            device, "6" if ":" in address else "", address
        )
    elif kind == "rule":
        _, priority, rest = arguments.split(" ", 2)
        shown = "{0}:\t{1} ".format(priority, rest)
    else:
        shown = arguments
    item = parse.kernel_state(shown, {})
    there = [index for index, line in enumerate(lines) if parse.kernel_state(line, {}) == item]
    if verb == "del":
        if not there:
            return lines, "No such process"
        return lines[: there[0]] + lines[there[0] + 1 :], ""
    if verb == "replace":
        (route,) = item.routes
        return [line for line in lines if not _is_in_the_way(line, route)] + [shown], ""
    if there and not (lenient and kind == "rule"):
        return lines, "File exists"
    return lines + [shown], ""


def _is_in_the_way(line, route):
    """Return whether `ip route replace` puts `route` into the place of what `line` shows."""
    keys = ("destination", "table", "metric", "family")
    return any(
        all(getattr(other, key) == getattr(route, key) for key in keys)
        for other in parse.kernel_state(line, {}).routes
    )


class FakeReader(object):
    """Files as a backend sees them, from {path: text}."""

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
        """Carry out what a backend returned."""
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


def make_host(root, answers, devices, kernel=None, changes=None):
    """Return a Host whose files are below `root` and whose other edges are fakes.

    `changes` are settings other than the defaults. The fakes are the attributes `session`,
    `runner`, `devices` and `clock` of the host.
    """
    root = "{0}".format(root)
    chosen = settings.DEFAULTS._replace(run_directory=root + "/run", **(changes or {}))
    runner = FakeRunner(kernel)
    clock = FakeClock()
    session = FakeSession(answers)
    service = imds.Imds(
        chosen.metadata,
        RunDirectory(chosen.run_directory),
        clock=clock,
        sleep=clock.sleep,
        wall_clock=clock,
        session=session,
    )
    files = Files(root + "/root")
    host = Host(chosen, files=files, runner=runner, devices=devices, imds=service)
    host.run_directory = RunDirectory(chosen.run_directory, clock, clock.sleep)
    host.clock = clock
    host.sleep = clock.sleep
    host.session = session
    host.ancestors = lambda: []
    host.has_dhclient = lambda name: False
    host.hand_over = lambda runner, names, wait: list(names)
    host.ended = []
    host.end_dhclient = host.ended.append
    return host
