# Every target makes what it needs: `make test` and `make demo` work in a bare clone. `make help` lists the targets.
PYTHON ?= python3
TARGETS := demo test test-full test-matrix coverage lint format mutations django-suite evidence docs benchmarks lock clean help

.DEFAULT_GOAL := help
.PHONY: $(TARGETS)

# PYTEST_ARGS, PORT, DATABASE_URL and the like reach the target through the environment, also when given as `make test NAME=value`.
export

$(TARGETS):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 6))' 2>/dev/null || { echo "'$(PYTHON)' is absent or too old. Install Python 3.11 or newer, or run 'make PYTHON=/path/to/python3 $@'." >&2; exit 1; }
	@exec $(PYTHON) tools/bootstrap.py $@
