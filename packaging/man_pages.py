#!/usr/bin/env python3
"""The manual pages: prose from man/, the rest from the parsers and the settings' specification.

`man_pages.py DIRECTORY` writes them there. docutils makes manual pages of reStructuredText.
"""
import argparse
import datetime
import os
import re
import sys
from pathlib import Path

import spec_text
from docutils.core import publish_string

from ec2net_legacy import __version__, usage

PROSE = spec_text.REPOSITORY / "man"
_TITLES = {"ec2net.conf": "settings of ec2net"}
_HEAD = """\
{line}
{name}
{line}

{underline}
{about}
{underline}

:Manual section: {section}
:Manual group: ec2net_legacy
:Version: ec2net_legacy {version}
:Date: {date}

"""


def pages():
    """Return {name of a file: text} of all manual pages."""
    return {path.stem: page(path) for path in sorted(PROSE.glob("*.rst"))}


def page(path):
    """Return the manual page that the prose in `path` is for."""
    settings = {
        "halt_level": 2,
        "input_encoding": "unicode",
        "output_encoding": "unicode",
        # Nobody's ~/.docutils has a say in what a page is.
        "_disable_config": True,
    }
    made = publish_string(source(path), source_path=str(path), writer_name="manpage",
                          settings_overrides=settings)
    # docutils before 0.21 asks for a font that neither groff 1.23 nor mandoc has, and each of them
    # for a blank line below headings, which mandoc complains of.
    made = re.sub(r"(?m)^\.ft [CP]\n", "", made)
    return re.sub(r"(?m)^(\.SH .*\n)\.sp\n", r"\1", made)


def source(path):
    """Return the whole of a page's reStructuredText."""
    name, section = path.stem.rsplit(".", 1)
    parser = usage.parser_of(name) if section == "8" else None
    about = _TITLES.get(name) or parser.description[:1].lower() + parser.description[1:].rstrip(".")
    head = _HEAD.format(
        line="=" * len(name), name=name, underline="-" * len(about), about=about, section=section,
        version=__version__, date=date(),
    )
    if parser is not None:
        head += "SYNOPSIS\n========\n\n{}\n\n".format(_synopses(parser))
    return head + re.sub(
        r"(?m)^@(\w+)(?: (\S+))?@$", lambda found: _made(parser, *found.groups()), path.read_text()
    )


def date():
    """Return the day that a page is of, which a build that is to be repeated gives."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    moment = datetime.datetime.now(datetime.timezone.utc)
    if epoch:
        moment = datetime.datetime.fromtimestamp(int(epoch), datetime.timezone.utc)
    return moment.strftime("%Y-%m-%d")


def _made(parser, what, argument):
    """Return what stands in the place of @what argument@."""
    if what == "include":
        return (PROSE / argument).read_text()
    if what == "options":
        return _options(parser)
    if what == "commands":
        return "\n".join(_command(name, *found) for name, found in _commands(parser).items())
    listed = [one for one in spec_text.read() if one.section == (argument or "")]
    return "\n".join(_setting(one) for one in listed)


def _commands(parser):
    """Return {name: (parser, description)} of a program's commands."""
    for action in parser._subparsers._group_actions if parser._subparsers else ():
        described = {one.dest: one.help for one in action._choices_actions}
        return {name: (action.choices[name], described[name]) for name in action.choices}
    return {}


def _synopses(parser):
    lines = [_synopsis(command) for command, _ in _commands(parser).values()]
    return "\n".join("| " + line for line in lines or [_synopsis(parser)])


def _synopsis(parser):
    """Return a program or command with its arguments as one line."""
    shown = ["**{}**".format(parser.prog)]
    # What has to be there comes first, then options, then what may be left out.
    actions = [one for one in parser._actions if not _is_about_itself(one)]
    for action in sorted(actions, key=lambda one: (not one.required, not one.option_strings)):
        said = _term(action)
        shown.append(said if action.required else "[{}]".format(said))
    return " ".join(shown)


def _is_about_itself(action):
    kinds = argparse._HelpAction, argparse._VersionAction, argparse._SubParsersAction
    return isinstance(action, kinds) or _is_hidden(action)


def _is_hidden(action):
    """Return whether an option is none that a person gives."""
    return action.help == argparse.SUPPRESS


def _shown(actions):
    return [one for one in actions if not _is_hidden(one)]


def _term(action):
    """Return an option with its value, or an argument."""
    value = "*{}*".format(action.metavar or action.dest)
    if action.choices:
        value = "**{}**".format("** | **".join(action.choices))
    if not action.option_strings:
        return value
    options = ", ".join("**{}**".format(option) for option in action.option_strings)
    return options if action.nargs == 0 else options + " " + value


def _options(parser):
    """Return the list of a parser's options and arguments."""
    actions = [one for one in parser._actions if not isinstance(one, argparse._SubParsersAction)]
    listed = sorted(_shown(actions), key=lambda one: bool(one.option_strings))
    return "\n".join("{}\n    {}\n".format(_term(one), _sentence(one)) for one in listed)


def _sentence(action):
    said = action.help or ""
    if not said:
        raise ValueError("the parser does not say what {} is".format(action.dest))
    # $ACTION and the like are names of variables.
    return re.sub(r"\$(\w+)", r"**\1**", said[:1].upper() + said[1:]) + "."


def _command(name, parser, described):
    """Return a command with what its parser and its prose say about it."""
    prose = PROSE / "commands" / (name + ".rst")
    parts = [re.sub(r"\$(\w+)", r"**\1**", described[:1].upper() + described[1:]) + "."]
    if prose.exists():
        parts.append(prose.read_text())
    own = [one for one in parser._actions if one.dest not in ("help", "debug")]
    for action in sorted(_shown(own), key=lambda one: bool(one.option_strings)):
        parts.append("{}\n    {}".format(_term(action), _sentence(action)))
    body = re.sub(r"(?m)^(?=.)", "    ", "\n\n".join(part.rstrip() for part in parts))
    return "**{}**\n{}\n".format(name, body)


def _setting(setting):
    meaning = re.sub(r"`([^`]+)`", r"**\1**", setting.meaning.replace("*", r"\*"))
    values = re.sub(r"`([^`]+)`", lambda found: "**{}**".format(found.group(1).replace("*", r"\*")),
                    setting.values)
    default = "empty" if setting.default in ("", ",") else "**{}**".format(setting.default)
    return "**{}**\n    {}\n\n    Values: {}. The default is {}.\n".format(
        setting.key, meaning, values, default
    )


def main(directory):
    """Write all pages."""
    target = Path(directory)
    target.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (target / name).write_text(text)


if __name__ == "__main__":
    main(sys.argv[1])
