"""What systemd-networkd needs of udev, for the network devices of one namespace.

The machine's udev sees no device of a namespace.  networkd waits for each link until udev has a
file on it in /run/udev/data, of which it hears by a message on a netlink group of udev's.  This
process hears of devices from the kernel, which tells each namespace of its own ones, and does
these two things: no rules, no names, no .link files.

(networkd does not wait where /sys is read-only, as in a container.  But then it configures links
at its start before it knows their addresses, routes and rules, and so leaves those alone that it
would remove on a host.)

Standard library only, and no imports from the package: this file is run as a script.
"""

import os
import socket
import struct
import time
from pathlib import Path
from typing import Dict

NETLINK_KOBJECT_UEVENT = 15
KERNEL, UDEV = 1, 2
DATA = Path("/run/udev/data")
DEVICES = Path("/sys/class/net")


def murmur(text: bytes) -> int:
    """MurmurHash2: by it the kernel filters what a subsystem's listeners get."""
    factor, mask = 0x5BD1E995, 0xFFFFFFFF
    value = len(text)
    whole = len(text) & ~3
    for offset in range(0, whole, 4):
        word = struct.unpack_from("<I", text, offset)[0] * factor & mask
        value = (value * factor & mask) ^ ((word ^ word >> 24) * factor & mask)
    if text[whole:]:
        value = (value ^ int.from_bytes(text[whole:], "little")) * factor & mask
    value = (value ^ value >> 13) * factor & mask
    return value ^ value >> 15


def message(properties: Dict[str, str]) -> bytes:
    """A device's event as udev's listeners read it."""
    body = b"".join(f"{key}={value}\0".encode() for key, value in properties.items())
    size = 40
    header = struct.pack("=8s4sIII", b"libudev\0", struct.pack("!I", 0xFEEDCAFE), size, size,
                         len(body))
    return header + struct.pack("!IIII", murmur(b"net"), 0, 0, 0) + body


def know(index: str, since: str) -> None:
    """Write what says that udev is through with a device."""
    fresh = DATA / f".n{index}"
    fresh.write_text(f"I:{since}\n", encoding="ascii")
    fresh.rename(DATA / f"n{index}")


def main() -> None:
    """Know the devices that there are, say so, and then do so for each that comes."""
    kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_KOBJECT_UEVENT)
    kernel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    kernel.bind((0, KERNEL))
    listeners = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_KOBJECT_UEVENT)
    listeners.bind((0, 0))
    DATA.mkdir(parents=True)
    for device in DEVICES.iterdir():
        if (device / "ifindex").exists():
            know((device / "ifindex").read_text().strip(), str(time.monotonic_ns() // 1000))
    print("ready", flush=True)
    while True:
        words = kernel.recv(1 << 16).decode(errors="replace").split("\0")
        properties = dict(word.split("=", 1) for word in words if "=" in word)
        index = properties.get("IFINDEX")
        if properties.get("SUBSYSTEM") != "net" or not index:
            continue  # a queue of a device
        since = str(time.monotonic_ns() // 1000)
        if properties["ACTION"] == "remove":
            (DATA / f"n{index}").unlink(missing_ok=True)
        else:
            know(index, since)
        try:
            listeners.sendto(message({**properties, "USEC_INITIALIZED": since}), (0, UDEV))
        except ConnectionRefusedError:
            pass  # nobody listens


if __name__ == "__main__":
    os.umask(0o022)
    main()
