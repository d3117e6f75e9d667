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

    def names(self):
        return sorted(self.shown)

    def device(self, name):
        shown = self.shown.get(name)
        if isinstance(shown, list):
            return shown.pop(0) if len(shown) > 1 else shown[0]
        return shown


def nic(name, mac, up=False, kind="", master="", index=2):
    """Return a Device."""
    return Device(name=name, mac=mac, kind=kind, master=master, up=up, index=index)


class FakeRunner(object):
    """Records commands. Reading `ip -o` gives `kernel` {family: text}; a batch gives `answer`."""

    def __init__(self, kernel=None):
        self.kernel = {4: COMMON_RULES, 6: COMMON_RULES}
        self.kernel.update(kernel or {})
        self.answer = Result(0, "", "")
        self.statuses = {}
        self.ran = []
        self.shown = []

    def run(self, argv, stdin=""):
        self.ran.append((list(argv), stdin))
        if "-o" in argv:
            return Result(0, self.kernel[6 if "-6" in argv else 4], "")
        return self.answer

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
    host.clock = clock
    host.sleep = clock.sleep
    host.session = session
    return host
