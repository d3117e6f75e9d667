"""For the pip and setuptools of Python 2.7, which know no other way in; see setup.cfg."""
from setuptools import setup

setup()
