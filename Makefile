# Everything in one command each; each installs what it needs and the machine lacks.
# meson and ninja do the work: see meson.build and scripts/.

.DEFAULT_GOAL := build
.PHONY: build test unit e2e e2e-postgres wheel python check format demo cluster-demo bench bench-scheduling \
	bench-cluster chaos chaos-short simulate install deb test-packages clean
.NOTPARALLEL:

# make CONSOLE=disabled: without the console, whose npm packages are then not installed
CONSOLE ?= enabled
export CONSOLE

build:   ## build/lowtide, the release build
	@scripts/bootstrap.sh build
	@test -f build/build.ninja || meson setup build -Dtests=disabled -Dconsole=$(CONSOLE)
	@ninja -C build

test: unit e2e chaos-short python  ## every test, under ASan and UBSan in build-test/

unit: build-test  ## the C unit tests and fuzzers
	@scripts/unit.sh

e2e: build-test  ## the real program with the official clients; ARGS="-k cancel" for some of them
	@scripts/bootstrap.sh e2e
	@LOWTIDE_BIN=$(CURDIR)/build-test/lowtide .venv/bin/python -m pytest tests/e2e -n 4 $(ARGS)

e2e-postgres: build-test  ## the same with all rows in PostgreSQL; but for tests that open meta.db themselves
	@scripts/bootstrap.sh e2e
	@LOWTIDE_BIN=$(CURDIR)/build-test/lowtide LOWTIDE_TEST_STORE=postgres \
		scripts/with-postgres.sh .venv/bin/python -m pytest tests/e2e -n 4 $(ARGS)

SETUP_TEST = test -f build-test/build.ninja || meson setup build-test \
	-Db_sanitize=address,undefined -Dfailpoints=true -Dtests=enabled -Dwerror=true -Dconsole=$(CONSOLE)

.PHONY: build-test
build-test: build
	@scripts/bootstrap.sh unit
	@$(SETUP_TEST)
	@ninja -C build-test

wheel: build  ## build/wheel/lowtide-VERSION-….whl: the program, its libraries, the Python module
	@scripts/bootstrap.sh wheel
	@.venv/bin/python scripts/wheel.py

python: wheel  ## the wheel's own tests, with pandas, polars and pyarrow; ARGS="-k server"
	@scripts/bootstrap.sh python
	@build/python/bin/python -m pip install -q --disable-pip-version-check --no-index --no-deps \
		--force-reinstall build/wheel/*.whl
	@build/python/bin/python -m pytest tests/python $(ARGS)

check: build-test  ## walls, clang-format, clang-tidy, cppcheck, ThreadSanitizer: fails on any finding
	@scripts/bootstrap.sh check e2e
	@scripts/check.sh

format:  ## lays out all C as .clang-format says
	@scripts/bootstrap.sh check
	@scripts/check.sh format

demo:    ## a real batch on a real small model
	@scripts/bootstrap.sh build demo
	@scripts/quietly.sh "building lowtide" $(MAKE) --no-print-directory build
	@.venv/bin/python demo/demo.py $(ARGS)

cluster-demo:  ## three nodes behind nginx, on PostgreSQL and S3; one is killed; ARGS=--stand-in: without a model
	@scripts/bootstrap.sh build cluster-demo
	@scripts/quietly.sh "building lowtide" $(MAKE) --no-print-directory build
	@scripts/cluster-demo.sh $(ARGS)

bench: build  ## the figures of README.md, measured here; ARGS="--only dispatch"
	@scripts/bootstrap.sh bench
	@python3 bench/bench.py $(ARGS)

bench-scheduling: build  ## docs/benchmarks.md, measured here; ARGS="--only bursts", "--nodes", "--help"
	@scripts/bootstrap.sh bench-scheduling $(if $(findstring --nodes,$(ARGS)),bench-cluster)
	@python3 bench/scheduling $(ARGS)

bench-cluster: build  ## one node and three, on PostgreSQL and S3, beside SQLite; ARGS="--only kill", "--help"
	@scripts/bootstrap.sh bench-cluster
	@scripts/with-cluster.sh python3 bench/cluster.py $(ARGS)

chaos:  ## three nodes under 200 faults in an hour; CHAOS_FAULTS=10 CHAOS_SEED=7; ARGS="--help"
	@scripts/bootstrap.sh build chaos
	@$(SETUP_TEST)
	@ninja --quiet -C build-test lowtide
	@LOWTIDE_BIN=$(CURDIR)/build-test/lowtide .venv/bin/python tests/chaos $(ARGS)

chaos-short: build-test  ## each kind of those faults once, in under 5 minutes; CHAOS_SEED=7: the same again
	@scripts/bootstrap.sh chaos
	@LOWTIDE_BIN=$(CURDIR)/build-test/lowtide .venv/bin/python tests/chaos --short

simulate: build  ## the protocol of many machines against 100,000 seeds of faults; ARGS="--mutants", "--help"
	@ninja --quiet -C build tests/simulation/simulate
	@build/tests/simulation/simulate $(ARGS)

# `prefix` and `sysconfdir` are kept in build/: the next `make install` has them.
INSTALL_OPTIONS = $(if $(prefix),--prefix=$(prefix)) $(if $(sysconfdir),--sysconfdir=$(sysconfdir))

install: build  ## program, man pages, completions, systemd unit; prefix=/usr/local DESTDIR=
	@$(if $(strip $(INSTALL_OPTIONS)),meson configure build $(INSTALL_OPTIONS) && ninja -C build)
	@meson install -C build --no-rebuild $(if $(DESTDIR),--destdir "$(DESTDIR)")

deb:     ## build/deb/lowtide_VERSION_ARCH.deb, looked over by lintian
	@scripts/bootstrap.sh build deb
	@scripts/deb.sh

test-packages: ## that package in clean Debians: install, start, upgrade, purge; ARGS="bookworm"
	@scripts/bootstrap.sh build deb test-packages
	@tests/packages/run.sh $(ARGS)

clean:   ## what was built; .venv and what the demo left under build/ too
	rm -rf build build-test build-tsan .venv tests/node/node_modules console/node_modules
