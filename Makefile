PREFIX = /usr
# The interpreter that the installed commands run on: the distribution's, which has the libraries.
PYTHON = $(firstword $(wildcard /usr/bin/python3 /usr/bin/python2))

# Whose dhclient hook to install: network-scripts' (rhel), ifupdown's (debian), or no one's (no).
FLAVOUR = $(if $(wildcard $(DESTDIR)/etc/sysconfig/network-scripts/ifup-eth),rhel,debian)

libdir = $(PREFIX)/lib/ec2net
sbindir = $(PREFIX)/sbin
# What calls the refresh every minute: timer (systemd), cron, or nothing (no).
REFRESH = $(if $(wildcard /run/systemd/system),timer,cron)
# How many seconds a lease waits for its hook at most.
LEASE_TIMEOUT = 5
hook_rhel = /etc/dhcp/dhclient.d/ec2dhcp.sh
hook_debian = /etc/dhcp/dhclient-exit-hooks.d/ec2net
unitdir = $(if $(wildcard /usr/lib/systemd/system),/usr,)/lib/systemd/system
# Each command with the function in ec2net_legacy.cli that it calls, as in setup.cfg.
commands = ec2net-hotplug:hotplug ec2ifup:ifup ec2ifdown:ifdown ec2ifscan:ifscan ec2net:ec2net
# What install put there, in order; uninstall removes that and nothing else.
record = $(libdir)/installed

tools = .build/venv
nox = $(tools)/bin/nox

# A target's prerequisites come one after the other: setup installs what the next one needs.
.NOTPARALLEL:
.PHONY: help setup test unit static lab-test demo bench install uninstall clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

setup:
	@tests/setup-debian.sh

$(nox): tests/requirements/tools.txt
	python3 -m venv --clear $(tools)
	$(tools)/bin/pip install -q -c $< nox virtualenv
	@touch $@

test: setup $(nox) ## install what the tests need and run all of them
	$(nox)

unit: $(nox) ## run the unit tests on every interpreter found
	$(nox) --tags unit

static: $(nox) ## run the linters and the type checker
	$(nox) --session static

lab-test: setup $(nox) ## run the tests in network namespaces and of the packaging, as root
	$(nox) --session lab

demo: setup ## show it at work
	python3 -m tests.demo

bench: setup ## measure it
	python3 -m tests.bench

install: ## install for PYTHON and FLAVOUR under PREFIX (/usr), below DESTDIR
	@set -eu; umask 022; \
	python=$$(command -v "$(PYTHON)" || echo "$(PYTHON)"); \
	case $$python in /*) ;; *) echo "no Python: set PYTHON to the path of one" >&2; exit 1;; esac; \
	case "$(PREFIX)/" in /*) ;; *) echo "PREFIX must be absolute" >&2; exit 1;; esac; \
	if [ ! -x "$$python" ] && [ -z "$(DESTDIR)" ]; then echo "no $$python" >&2; exit 1; fi; \
	case "$(DESTDIR)$(PREFIX)" in *[\&\|\\\"\$$]*) \
	    echo "DESTDIR and PREFIX must be without & | \\ \" and \$$" >&2; exit 1;; esac; \
	case "$(FLAVOUR)" in debian|rhel|no) ;; *) \
	    echo "FLAVOUR is $(FLAVOUR): expected debian, rhel or no" >&2; exit 1;; esac; \
	case "$(REFRESH)" in timer|cron|no) ;; *) \
	    echo "REFRESH is $(REFRESH): expected timer, cron or no" >&2; exit 1;; esac; \
	if [ -e "$(DESTDIR)$(record)" ]; then $(MAKE) -s uninstall; fi; \
	create() { \
	    [ -d "$(DESTDIR)$$1/" ] || { create "$${1%/*}"; mkdir "$(DESTDIR)$$1"; echo "$$1/"; }; \
	}; \
	mkdir -p "$(DESTDIR)/"; \
	installed=$$( \
	    create "$(libdir)"; \
	    create "$(sbindir)"; \
	    echo "$(record)"; \
	    find ec2net_legacy -name '*.py' -o -name '*.spec' | sort | while read -r file; do \
	        create "$(libdir)/$${file%/*}"; \
	        install -p -m 644 "$$file" "$(DESTDIR)$(libdir)/$$file"; \
	        echo "$(libdir)/$$file"; \
	    done; \
	    for command in $(commands); do \
	        file="$(sbindir)/$${command%:*}"; \
	        sed -e "s|@PYTHON@|$$python|" -e "s|@LIBDIR@|$(libdir)|" \
	            -e "s|@FUNCTION@|$${command#*:}|" launcher.in >"$(DESTDIR)$$file"; \
	        chmod 755 "$(DESTDIR)$$file"; \
	        echo "$$file"; \
	    done; \
	    place() { \
	        create "$${2%/*}"; \
	        sed -e "s|@SBINDIR@|$(sbindir)|g" -e "s|@LEASE_TIMEOUT@|$(LEASE_TIMEOUT)|g" "$$1" \
	            >"$(DESTDIR)$$2"; \
	        chmod "$$3" "$(DESTDIR)$$2"; \
	        echo "$$2"; \
	    }; \
	    case "$(FLAVOUR)" in \
	    rhel) place hooks/ec2dhcp.sh "$(hook_rhel)" 755;; \
	    debian) place hooks/ec2net "$(hook_debian)" 644;; \
	    esac; \
	    case "$(REFRESH)" in \
	    timer) for unit in ec2net-refresh.service ec2net-refresh.timer; do \
	        place "systemd/$$unit" "$(unitdir)/$$unit" 644; done;; \
	    cron) place cron/ec2net-refresh /etc/cron.d/ec2net-refresh 644;; \
	    esac \
	); \
	echo "$$installed" >"$(DESTDIR)$(record)"; \
	if [ -x "$$python" ]; then \
	    "$$python" -sE -m compileall -q -d "$(libdir)/ec2net_legacy" \
	        "$(DESTDIR)$(libdir)/ec2net_legacy"; \
	fi

uninstall: ## remove what install put there
	@set -eu; \
	if [ ! -e "$(DESTDIR)$(record)" ]; then echo "no $(DESTDIR)$(record)"; exit 0; fi; \
	tac "$(DESTDIR)$(record)" | while read -r path; do \
	    file="$(DESTDIR)$$path"; \
	    case $$path in \
	    */) \
	        if [ -d "$$file" ]; then rmdir --ignore-fail-on-non-empty "$$file"; fi;; \
	    *.py) \
	        cache="$${file%/*}/__pycache__"; module="$${file##*/}"; \
	        rm -f "$$file" "$${file}c" "$${file}o" "$$cache/$${module%.py}".*.pyc; \
	        if [ -d "$$cache" ]; then rmdir --ignore-fail-on-non-empty "$$cache"; fi;; \
	    *) \
	        rm -f "$$file";; \
	    esac; \
	done

clean: ## remove what the other targets made in this tree
	rm -rf .build *.egg-info build
	find . -name __pycache__ -prune -exec rm -rf {} +
	find . -name '*.py[co]' -delete
