"""What README.md shows of a host, for the tests that hold it against a real one."""

from pathlib import Path
from typing import List

README = Path(__file__).resolve().parent.parent / "README.md"


def lines_of(printed: str) -> List[str]:
    """What a command printed, line by line, without what goes by the version of systemd."""
    return [line.strip().replace("DHCPv4", "DHCP4") for line in printed.splitlines()]


def excerpt(command: str) -> List[str]:
    """The lines that README.md has below a command, of all that the command prints."""
    text = README.read_text(encoding="utf-8")
    below = text.split(f"# {command}\n", 1)[1]
    return lines_of(below.split("```", 1)[0])
