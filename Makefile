# Every command works from a fresh clone with Python 3.11 or 3.12 and a PyPI index; the README has the plain ones behind them.
PYTHON ?= python3
PY = .venv/bin/python

.PHONY: env demo test bench bench-features style versions lock

env:
	@$(PYTHON) scripts/bootstrap.py

# The whole chain on the bundled demo.
demo: env
	@$(PY) scripts/run_demo.py

test: env
	@$(PY) -m pytest tests

# CPU seconds per second of output against today's scripts and the bare limit.
bench: env
	@$(PY) tests/bench/bench_chain.py

# Seconds to load, frames a second and waiting of every feature and score with a model, on a GPU if there is one.
bench-features: env
	@$(PY) tests/bench/bench_features.py

style: env
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/snakefmt --check Snakefile rules

# Record that every step whose code changed has the version it should have.
versions: env
	@PYTHONPATH=scripts $(PY) tests/contract/test_versions.py

# Resolve envs/venv.in anew (needs uv).
lock:
	@uv pip compile --no-annotate --no-header --python-version 3.11 --override envs/venv.overrides envs/venv.in \
		| sed -e 's/+cpu//' -e '1i # Made by `make lock` from venv.in and venv.overrides; installed without dependency resolution. One list for Python 3.11 and 3.12.' > envs/venv.lock.new
	@mv envs/venv.lock.new envs/venv.lock
