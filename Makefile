# What a person does with this project, one verb each; `make` alone lists them. Only pip and apt touch the network.

VENV = .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check
# uv installs in a tenth of pip's time; where it cannot reach what pip is told to use, pip does it.
INSTALL = install() { $(PIP) install --quiet uv && \
	$(BIN)/python -m uv pip install --quiet --python $(BIN)/python --editable "$$1" || \
	$(PIP) install --quiet --editable "$$1"; }; install
SOURCES = voice delivery orchestration tests examples

# The tests start many processes: where bytecode is not kept, each of them compiles every library anew.
export PYTHONDONTWRITEBYTECODE =

.PHONY: help serve test check coverage soak bench bench-floor clean browser postgres lint
.DEFAULT_GOAL = help

help:
	@echo "make serve   install into $(VENV) and talk with the demo at http://localhost:8080"
	@echo "make test    everything: format, lint, types, all tests, the real browser, PostgreSQL and kill -9 too"
	@echo "make check   the same without browser, PostgreSQL and kill -9: for every save, at most three minutes"
	@echo "make coverage   which lines no test runs; slower than make test"
	@echo "make soak    the virtual-time tests with many more random cases, then 400 kills; a fresh seed each time"
	@echo "make bench   print every figure we state; make bench-floor: how well we find the moment to speak"
	@echo "make clean   remove $(VENV) and everything that was built"
	@echo
	@echo "ARGS='...' is passed on to serve and pytest; PYTHON=/path/to/python chooses the interpreter."

serve: $(VENV)/.demo
	$(BIN)/sottovoce serve examples/demo.py $(ARGS)

# What listens or is killed goes one after the other, as its times need the machine; the rest shares the cores.
APART = (browser or crash) and not (processes or long)
# One more than there are cores: some tests wait for a real call to go its way. A file is one process's, as its tests
# share what is slow to make.
TOGETHER = -n $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1) --dist loadfile -m
# With ARGS that choose tests there may be none of a kind (pytest's exit code 5).
SOME = $(if $(ARGS),|| [ $$? = 5 ])

test: $(VENV)/.test browser postgres lint
	$(BIN)/python -m pytest -m "$(APART)" $(ARGS) $(SOME)
	$(BIN)/python -m pytest $(TOGETHER) "not ($(APART) or long)" $(ARGS) $(SOME)

# coverage starts before pytest: our plugin is loaded with pytest, too early for pytest-cov to see what it imports.
coverage: $(VENV)/.test browser postgres
	$(BIN)/python -m coverage run -m pytest $(ARGS)
	@$(BIN)/python -m coverage report --skip-covered

check: $(VENV)/.test lint
	$(BIN)/python -m pytest $(TOGETHER) "not (browser or crash or postgres)" $(ARGS)

soak: $(VENV)/.test browser postgres
	$(BIN)/python -m pytest -m "not browser and not crash and not postgres and not speech" \
		--hypothesis-profile=soak --hypothesis-seed=random $(ARGS)
	$(BIN)/python -m pytest -m long
	$(BIN)/python -m tests.crash

bench: $(VENV)/.test
	@for each in $$(grep -l '^if __name__ == "__main__":' tests/bench/*.py); do \
		name=$$(basename "$$each" .py); \
		echo; echo "== $$name: python -m tests.bench.$$name"; \
		$(BIN)/python -m "tests.bench.$$name" || exit 1; \
	done

bench-floor: $(VENV)/.test
	$(BIN)/python -m tests.bench.floor $(ARGS)

clean:
	rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

lint: $(VENV)/.test
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy

# Some tests drive a real Chromium and a real PostgreSQL. They are installed where that needs no question, and never in
# the way: Debian's PostgreSQL is told not to start a server on this machine, since the tests start a private one.
AS_ROOT = if ! command -v apt-get >/dev/null; then as=none; \
	elif [ "$$(id -u)" = 0 ]; then as=; \
	elif sudo -n true 2>/dev/null; then as="sudo -n"; \
	else as=none; fi
APT = apt-get update -qq && $$as env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends

browser:
	@for each in chromium chromium-browser google-chrome; do command -v $$each >/dev/null && exit 0; done; \
	$(AS_ROOT); \
	if [ "$$as" != none ]; then \
		echo "Installing Debian's chromium for the browser tests"; \
		$$as $(APT) chromium; \
	fi; \
	command -v chromium >/dev/null || \
	echo "No chromium here, and none could be installed unasked: the browser tests will be SKIPPED." \
		"On Debian: sudo apt-get install chromium"

postgres:
	@found() { [ -n "$$SOTTOVOCE_POSTGRES" ] || command -v pg_ctl >/dev/null || \
		ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; }; \
	found && exit 0; \
	$(AS_ROOT); \
	if [ "$$as" != none ]; then \
		echo "Installing Debian's postgresql for the tests of its ledger"; \
		rule=/etc/postgresql-common/createcluster.conf; \
		$$as $(APT) postgresql-common && \
		$$as sed -i '1i create_main_cluster = false' $$rule && \
		{ $$as $(APT) postgresql; $$as sed -i '1{/^create_main_cluster = false$$/d}' $$rule; }; \
	fi; \
	found || \
	echo "No PostgreSQL here, and none could be installed unasked: the tests of its ledger will be SKIPPED." \
		"On Debian: sudo apt-get install postgresql"

# An editable install, so a second run has nothing to do until the dependencies change.
$(VENV)/.demo: pyproject.toml $(BIN)/python
	@echo "Installing sottovoce with its demo into $(VENV): up to a minute or two, this time only"
	@$(INSTALL) '.[demo]'
	@touch $@

$(VENV)/.test: pyproject.toml $(BIN)/python
	@echo "Installing sottovoce with what its tests need into $(VENV): up to a minute or two, this time only"
	@$(INSTALL) '.[test]'
	@touch $(VENV)/.demo $@

$(BIN)/python:
	@found=; bare=; \
	for each in $(PYTHON) python3.13 python3.12 python3.11 python3; do \
		"$$each" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null || continue; \
		if "$$each" -c 'import ensurepip, venv' 2>/dev/null; then found=$$each; break; fi; \
		[ -n "$$bare" ] || bare=$$each; \
	done; \
	if [ -z "$$found" ] && [ -n "$$bare" ]; then \
		version=$$("$$bare" -c 'import sys; print("python%d.%d" % sys.version_info[:2])'); \
		echo "$$bare cannot make a virtual environment: Debian keeps that part in a package of its own." >&2; \
		echo "    sudo apt-get install $$version-venv" >&2; exit 1; \
	elif [ -z "$$found" ]; then \
		echo "Python 3.11, 3.12 or 3.13 is needed, and none of python3.13, python3.12, python3.11, python3 is one." >&2; \
		echo "    Debian: sudo apt-get install python3 python3-venv    macOS: brew install python@3.13" >&2; \
		echo "    or name one: make PYTHON=/path/to/python3.13 ..." >&2; exit 1; \
	fi; \
	echo "Making $(VENV) with $$found"; \
	"$$found" -m venv --clear $(VENV) || { rm -rf $(VENV); exit 1; }
