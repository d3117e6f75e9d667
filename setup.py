"""For the pip and setuptools of Python 2.7, which know no other way in; see setup.cfg."""
from glob import glob

from setuptools import setup

# What `make install` puts into the file system, for who installs a wheel: below share/ec2net.
DATA = ["cron", "hooks", "systemd", "udev", "upstart"]

setup(
    data_files=[("share/ec2net/" + name, sorted(glob(name + "/*"))) for name in DATA]
    + [("share/ec2net", ["packaging/ec2net.conf"])]
)
