"""``make demo``: an ENI is attached to a host in a toy VPC, without ec2net and with it.

Everything is real but the cloud: ifup, dhclient, ip, dnsmasq and the kernel. The VPC is the lab
(tests/lab), whose router drops packets with a foreign source address as AWS does.
"""

import sys
import textwrap
from pathlib import Path

from tests.lab import Lab, LabUnavailable

REPOSITORY = Path(__file__).resolve().parent.parent
ADDRESSES = ("10.0.1.10", "10.0.1.11", "10.0.1.12")
CONFIG = "/etc/network/interfaces.d/eth1.cfg"
PLAIN_DHCP = "auto eth1\niface eth1 inet dhcp\n    metric 10001\n"

PICTURE = """
                    +--------------------- VPC router ---------------------+
  outside client    |  drops every packet that leaves an ENI with a source |
  198.51.100.10 ----|  address that is not that ENI's, as AWS does         |
                    +-----+------------------------------+-----------------+
                          |                              |
                          | eth0 (primary)               | eth1, attached later
                          | 10.0.0.10                    | 10.0.1.10 .11 .12
                    +-----+------------------------------+-----------------+
                    |           the EC2 host: Debian with ifupdown         |
                    +------------------------------------------------------+
"""


class Story:
    """Prints the demo: headings, explanations, commands with their output."""

    def __init__(self, lab):
        self.lab = lab
        self.chapter = 0

    def say(self, text):
        """Print an explanation, wrapped for a terminal of 80 columns."""
        print(textwrap.fill(" ".join(text.split()), 78))

    def heading(self, text):
        """Begin a chapter."""
        self.chapter += 1
        print("\n== {}. {} {}\n".format(self.chapter, text, "=" * (72 - len(text))))

    def run(self, *argv, env=None, quiet=False):
        """Show a command, run it on the host, show what it printed."""
        assignments = ["{}={}".format(*item) for item in (env or {}).items()]
        words = " ".join(["env", *assignments, *argv] if env else argv)
        print("root@host# " + words)
        result = self.lab.host(list(argv), env=env)
        if not quiet:
            for line in (result.stdout + result.stderr).splitlines():
                print(indented(line.rstrip()))
        print()
        return result

    def reach(self, expected, addresses=ADDRESSES):
        """Ping each address from outside; say so plainly, and fail when it is not as `expected`."""
        dropped = self.lab.drops("eth0") + self.lab.drops("eth1")
        for address in addresses:
            answers = self.lab.pings(address)
            print("  client# ping -c 1 {}   {}".format(address, "reply" if answers else "NO REPLY"))
            if answers != expected:
                raise SystemExit("demo: {} was expected {}".format(
                    address, "to answer" if expected else "not to answer"))
        dropped = self.lab.drops("eth0") + self.lab.drops("eth1") - dropped
        print("  router: {} replies dropped for a foreign source address\n".format(dropped))


def indented(line):
    """Indent a line that a command printed, and wrap it if it is too long for that."""
    start = "  " + line[:len(line) - len(line.lstrip())]
    return "\n".join(textwrap.wrap(line.lstrip(), 80, initial_indent=start,
                                   subsequent_indent=start + "  ", expand_tabs=False,
                                   replace_whitespace=False)) if len(line) > 78 else "  " + line


def without_ec2net(story, lab):
    """Attach the ENI and bring it up by DHCP alone."""
    story.heading("An ENI is attached, without ec2net")
    story.say("""The ENI gets an address by plain DHCP and two more by hand. Requests from outside
        come in by eth1; the replies follow the main table's default route, out of eth0. There the
        source address is foreign, and the VPC drops them.""")
    print()
    lab.attach("eth1", subnet="10.0.1.0/24", addresses=list(ADDRESSES))
    write(lab, CONFIG, PLAIN_DHCP)
    story.run("ifup", "eth1", quiet=True)
    for address in ADDRESSES[1:]:
        story.run("ip", "addr", "add", address + "/32", "dev", "eth1")
    story.reach(expected=False)
    story.say("Undone again:")
    print()
    story.run("ifdown", "eth1", quiet=True)
    lab.host(["rm", CONFIG])


def tell(lab):
    """Run the demo in `lab`."""
    story = Story(lab)
    print(PICTURE)
    before = lab.snapshot()

    without_ec2net(story, lab)

    story.heading("The same ENI, with ec2net")
    story.say("One command asks the metadata service and writes the distribution's own file:")
    print()
    story.run("ec2net-hotplug", "add", env={"INTERFACE": "eth1", "ACTION": "add"})
    story.run("cat", CONFIG)
    story.say("""ifup brings the interface up from that file. It needs neither ec2net nor the
        metadata service any more, now or after a reboot:""")
    print()
    story.run("ifup", "eth1", quiet=True)

    story.heading("What is different now")
    story.say("""The kernel tries the rules in the order of their numbers. A packet from one of the
        ENI's addresses now meets a rule that sends it to the ENI's own route table, before the one
        for everything else (main). Rule 9990 is for containers, VPNs and other networks of the
        host: it asks main first, but for the default route and what leaves by an ENI.""")
    print()
    story.run("ip", "rule")
    story.run("ip", "route", "show", "table", "10001")
    story.run("ec2net", "explain", "--from", "10.0.1.11", "--to", "198.51.100.10")
    story.run("ec2net", "status")
    story.reach(expected=True)

    story.heading("A reboot, with the metadata service down")
    story.say("""Everything goes down and comes up again as at boot. No metadata is needed for it,
        and the primary's address answers as before:""")
    print()
    lab.imds_stop()
    for name in ("eth1", "eth0"):
        lab.host(["ifdown", name])
    story.run("ifup", "-a", quiet=True)
    story.reach(expected=True, addresses=("10.0.0.10",) + ADDRESSES)
    lab.imds_start()

    story.heading("The ENI is detached")
    story.say("ec2ifdown is ifdown and the removal of what ec2net has written:")
    print()
    story.run("ec2ifdown", "eth1", quiet=True)
    lab.detach("eth1")
    story.run("ip", "rule")
    after = lab.snapshot()
    left = [key for key in before if before[key] != after[key]]
    if left:
        raise SystemExit("demo: still there: " + ", ".join(left))
    story.say("""Compared with before the attachment: addresses, rules, all route tables and all
        files below /etc/network and /etc/dhcp are the same. Nothing is left.""")


def write(lab, path, text):
    """Put `text` into a file of the host."""
    lab.host(["sh", "-c", 'printf %s "$2" > "$1"', "sh", path, text])


def main():
    """Build the lab, install the product in it, tell the story."""
    try:
        with Lab() as lab:
            lab.host(["make", "-s", "-C", str(REPOSITORY), "install", "PYTHON=/usr/bin/python3"])
            tell(lab)
    except LabUnavailable as error:
        sys.exit("demo: the lab cannot run here: {}".format(error))


if __name__ == "__main__":
    main()
