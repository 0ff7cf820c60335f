# Everything in one command each; each installs what it needs and the machine lacks.
# meson and ninja do the work: see meson.build and scripts/.

.DEFAULT_GOAL := build
.PHONY: build test unit e2e check format demo bench bench-scheduling clean
.NOTPARALLEL:

build:   ## build/lowtide, the release build
	@scripts/bootstrap.sh build
	@test -f build/build.ninja || meson setup build -Dtests=disabled
	@ninja -C build

test: unit e2e  ## every test, under ASan and UBSan in build-test/

unit: build-test  ## the C unit tests and fuzzers
	@scripts/unit.sh

e2e: build-test  ## the real program with the official clients; ARGS="-k cancel" for some of them
	@scripts/bootstrap.sh e2e
	@LOWTIDE_BIN=$(CURDIR)/build-test/lowtide .venv/bin/python -m pytest tests/e2e -n 2 $(ARGS)

.PHONY: build-test
build-test: build
	@scripts/bootstrap.sh unit
	@test -f build-test/build.ninja || meson setup build-test \
		-Db_sanitize=address,undefined -Dfailpoints=true -Dtests=enabled -Dwerror=true
	@ninja -C build-test

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

bench: build  ## the figures of README.md, measured here; ARGS="--only dispatch"
	@scripts/bootstrap.sh bench
	@python3 bench/bench.py $(ARGS)

bench-scheduling: build  ## docs/benchmarks.md, measured here; ARGS="--only bursts", "--help"
	@scripts/bootstrap.sh bench-scheduling
	@python3 bench/scheduling $(ARGS)

clean:   ## what was built; .venv and what the demo left under build/ too
	rm -rf build build-test build-tsan .venv tests/node/node_modules
