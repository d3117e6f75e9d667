"""Reads upstart job files as init(5) of 0.6.5 describes them, and tries their events.

Not all of upstart: the stanzas that both 0.6.5 (RHEL 6) and 1.12 (Ubuntu 14.04) know, the mistakes
for which upstart would refuse a file, and which events start a job. No lines continued by a
backslash, and no quotes in events.
"""

import re
from fnmatch import fnmatchcase

# Those of 0.6.5 with what may follow: 1.12 has all of them, and some more that are errors there.
STANZAS = {
    "author": r"\S.*",
    "chdir": r"\S+",
    "chroot": r"\S+",
    "console": r"none|output|owner",
    "description": r"\S.*",
    "emits": r"\S.*",
    "env": r"\w+=.*",
    "expect": r"stop|daemon|fork",
    "export": r"\w+( \w+)*",
    "instance": r"\S+",
    "kill": r"timeout \d+",
    "limit": r"\w+ \S+ \S+",
    "nice": r"-?\d+",
    "normal": r"exit( \w+)+",
    "oom": r"-?\d+|never",
    "respawn": r"|limit \d+ \d+",
    "start": r"on \S.*",
    "stop": r"on \S.*",
    "task": r"",
    "umask": r"[0-7]+",
    "version": r"\S.*",
}
PROCESSES = ("pre-start", "post-start", "pre-stop", "post-stop")
# A command with one of these is given to a shell, with `exec` before it.
SHELL_CHARACTERS = re.compile(r"[~`!$^&*()=|\\{}\[\];\"'<>?]")


class ParseError(Exception):
    """What upstart would not take."""


class Match:
    """One event of an expression: a name and what its variables have to be."""

    def __init__(self, name):
        self.name = name
        self.conditions = []
        self.value = False

    def expect(self, word):
        """Add a condition: a value by its position, or KEY=value, or KEY!=value."""
        key, operator, pattern = re.fullmatch(r"(?:(\w+)(!?=))?(.*)", word, re.DOTALL).groups()
        if not key and any(condition[0] for condition in self.conditions):
            raise ParseError("a value by position after one by name: " + word)
        self.conditions.append((key, operator == "!=", pattern))

    def matches(self, event):
        """Whether `event` is meant; one without the variable never is, not even by !=."""
        name, *variables = event
        pairs = [variable.split("=", 1) for variable in variables]
        if name != self.name:
            return False
        for position, (key, negated, pattern) in enumerate(self.conditions):
            found = [v for k, v in pairs if k == key] if key else [v for _, v in pairs][position:]
            if not found or fnmatchcase(found[0], pattern) is negated:
                return False
        return True

    def see(self, event):
        """Remember whether it has happened."""
        self.value = self.value or self.matches(event)

    def reset(self):
        """Forget it."""
        self.value = False


class Operator:
    """`and` or `or` of two expressions, which both remember what has happened."""

    def __init__(self, word, left, right):
        self.word, self.left, self.right = word, left, right

    @property
    def value(self):
        """Whether it holds by now."""
        values = (self.left.value, self.right.value)
        return all(values) if self.word == "and" else any(values)

    def see(self, event):
        """Show it to both sides."""
        self.left.see(event)
        self.right.see(event)

    def reset(self):
        """Forget what both sides have seen."""
        self.left.reset()
        self.right.reset()


def parse_expression(text):
    """Return the Match or Operator; `and` and `or` bind alike, from the left."""
    words = re.findall(r"[()]|[^\s()]+", re.sub(r"\s#.*", "", text))
    expression = _operators(words)
    if words:
        raise ParseError("left over: " + " ".join(words))
    return expression


def _operators(words):
    expression = _operand(words)
    while words and words[0] in ("and", "or"):
        expression = Operator(words.pop(0), expression, _operand(words))
    return expression


def _operand(words):
    if not words or words[0] in ("and", "or", ")"):
        raise ParseError("an event is expected")
    word = words.pop(0)
    if word == "(":
        inner = _operators(words)
        if not words or words.pop(0) != ")":
            raise ParseError("mismatched parentheses")
        return inner
    match = Match(word)
    while words and words[0] not in ("and", "or", "(", ")"):
        match.expect(words.pop(0))
    return match


class Process:
    """What a job runs: the text, and whether it is a script or one command."""

    def __init__(self, text, is_script):
        self.is_script = is_script
        self.text = text

    def shell_text(self):
        """Return it as upstart would give it to ``/bin/sh -e``, if it does."""
        if self.is_script:
            return self.text
        if not SHELL_CHARACTERS.search(self.text):
            return None
        return "exec {}\n".format(self.text)


class Job:
    """A job file: its stanzas (each name with all its arguments) and its processes."""

    def __init__(self, name, text):
        self.name = name
        self.stanzas = {}
        self.processes = {}
        lines = iter(text.splitlines())
        for line in lines:
            self._stanza(_whole(line, lines), lines)

    def _stanza(self, line, lines):
        word, _, rest = line.partition(" ")
        rest = " ".join(rest.split("\n")).strip()
        if not word:
            return
        if word in PROCESSES:
            kind, _, rest = rest.partition(" ")
            self._process(word, kind, rest, lines)
        elif word in ("exec", "script"):
            self._process("main", word, rest, lines)
        elif word not in STANZAS:
            raise ParseError("not a stanza of both versions: " + word)
        elif not re.fullmatch(STANZAS[word], rest):
            raise ParseError("{} {}".format(word, rest))
        else:
            self.stanzas.setdefault(word, []).append(rest)

    def _process(self, process, kind, rest, lines):
        if process in self.processes:
            raise ParseError("a second " + process)
        if kind == "exec" and rest:
            self.processes[process] = Process(rest, is_script=False)
        elif kind == "script" and not rest:
            self.processes[process] = Process(_script(lines), is_script=True)
        else:
            raise ParseError("{} {} {}".format(process, kind, rest))

    def started_by(self, events):
        """Return those of the `events` that start it, if it has ended by then each time."""
        if "start" not in self.stanzas:
            return []
        expression = parse_expression(self.stanzas["start"][-1][len("on "):])
        starts = []
        for event in events:
            expression.see(event)
            if expression.value:
                starts.append(event)
                expression.reset()
        return starts

    def event(self, name, result=None, **environment):
        """Return what upstart emits as this job goes on: its variables are those it exports."""
        def expand(text):
            return re.sub(r"\$(\w+)", lambda found: environment[found.group(1)], text)

        instance = expand(self.stanzas.get("instance", [""])[-1])
        exported = " ".join(self.stanzas.get("export", [])).split()
        event = [name, "JOB=" + self.name, "INSTANCE=" + instance]
        event += ["RESULT=" + result] if result else []
        return tuple(event + ["{}={}".format(key, environment[key]) for key in exported])


def _whole(line, lines):
    """Return the stanza that begins with `line`, without its comment; parentheses go on."""
    stanza = _uncommented(line)
    while stanza.startswith("start on") and stanza.count("(") > stanza.count(")"):
        following = next(lines, None)
        if following is None:
            raise ParseError("mismatched parentheses")
        stanza += "\n" + _uncommented(following)
    return stanza


def _uncommented(line):
    quoted = r"\"[^\"]*\"|'[^']*'"
    text = re.sub(r"({})|(?:^|\s)#.*".format(quoted), lambda found: found.group(1) or "", line)
    if re.sub(quoted, "", text).count('"'):
        raise ParseError("a quote is not closed: " + line)
    return text.strip()


def _script(lines):
    text = []
    for line in lines:
        if line.split() == ["end", "script"]:
            return "".join(text)
        text.append(line + "\n")
    raise ParseError("no end script")
