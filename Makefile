PREFIX = /usr
# The interpreter that the installed commands run on: the distribution's, which has the libraries.
PYTHON = $(firstword $(wildcard /usr/bin/python3 /usr/bin/python2))

# Whose dhclient hook to install: network-scripts' (rhel), ifupdown's (debian), or no one's (no).
FLAVOUR = $(if $(wildcard $(DESTDIR)/etc/sysconfig/network-scripts/ifup-eth),rhel,debian)

# What starts ec2net when an interface comes: systemd's units, upstart's jobs, or nothing (no).
# On this host what runs; in a tree what is there, systemd if that does not tell.
INIT = $(if $(DESTDIR),$(if $(in_tree),upstart,systemd),$(running))
in_tree = $(if $(wildcard $(DESTDIR)/lib/systemd/systemd),,$(wildcard $(DESTDIR)/sbin/initctl))
running = $(if $(wildcard /run/systemd/system),systemd,$(if $(upstart),upstart,no))
upstart = $(findstring upstart,$(shell initctl version 2>/dev/null))
# What calls the refresh every minute: timer (systemd), cron, or nothing (no).
REFRESH = $(if $(filter systemd,$(INIT)),timer,cron)
# Where manual pages and completions are made, and what makes them; `make install` takes what is there.
BUILT = .build
BUILD_PYTHON = $(firstword $(wildcard /usr/bin/python3) python3)
# How often `make bench` measures each situation.
ROUNDS = 15
# How many seconds a lease waits for its hook at most.
LEASE_TIMEOUT = 5
# Where /lib leads to /usr/lib this is the same.
UNITDIR = /lib/systemd/system
RULESDIR = /lib/udev/rules.d
# For a package, which keeps its own record, enables units and compiles on the host: yes or no.
PACKAGING = no

tools = .build/venv
nox = $(tools)/bin/nox

# A target's prerequisites come one after the other: setup installs what the next one needs.
.NOTPARALLEL:
.PHONY: help setup check test unit static lab-test test-vm demo bench install uninstall deb dist \
	man completion clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

setup:
	@tests/setup-debian.sh

$(nox): tests/requirements/tools.txt
	python3 -m venv --clear $(tools)
	$(tools)/bin/pip install -q -c $< nox virtualenv
	@touch $@

check: $(nox) ## run the linters, and the unit tests on the newest and the oldest Python
	@$(nox) --session check

test: setup $(nox) ## install what the tests need and run all of them
	$(nox)

unit: $(nox) ## run the unit tests on every interpreter found
	$(nox) --tags unit

static: $(nox) ## run the linters and the type checker
	$(nox) --session static

lab-test: setup $(nox) ## run the tests in network namespaces and of the packaging, as root
	$(nox) --session lab

test-vm: setup $(nox) ## run the tests on a machine in QEMU, as root
	$(nox) --session vm

demo: ## show it at work
	@tests/setup-debian.sh demo
	@python3 -m tests.demo

bench: setup $(nox) ## measure it; BASE=<commit> beside another commit
	$(nox) --session bench -- --rounds $(ROUNDS) $(if $(BASE),--base $(BASE))

install: ## install for PYTHON, FLAVOUR and INIT under PREFIX (/usr), below DESTDIR
	@packaging/install install

uninstall: ## remove what install put there
	@packaging/install uninstall

# "python3" is looked for here, so that the installed commands name one interpreter.
install uninstall: export PYTHON := $(or $(shell command -v "$(PYTHON)"),$(PYTHON))
install uninstall: export DESTDIR := $(DESTDIR)
install uninstall: export PREFIX := $(PREFIX)
install uninstall: export BUILT := $(BUILT)
install uninstall: export FLAVOUR := $(FLAVOUR)
install uninstall: export INIT := $(INIT)
install uninstall: export REFRESH := $(REFRESH)
install uninstall: export LEASE_TIMEOUT := $(LEASE_TIMEOUT)
install uninstall: export UNITDIR := $(UNITDIR)
install uninstall: export RULESDIR := $(RULESDIR)
install uninstall: export PACKAGING := $(PACKAGING)

deb: ## build the Debian packages into dist/
	@packaging/build-deb dist

dist: ## build sdist, wheel, debs and rpms in dist/, with SHA256SUMS
	@rm -rf dist
	@BUILD_PYTHON="$(BUILD_PYTHON)" packaging/build-dist dist

man: ## make the manual pages in .build/man, with docutils (python3-docutils)
	$(BUILD_PYTHON) packaging/man_pages.py $(BUILT)/man

completion: ## make what completes commands in bash and zsh, with shtab (python3-shtab)
	$(BUILD_PYTHON) packaging/completion.py $(BUILT)/completion

clean: ## remove what the other targets made in this tree
	rm -rf .build *.egg-info build dist
	find . -name __pycache__ -prune -exec rm -rf {} +
	find . -name '*.py[co]' -delete
