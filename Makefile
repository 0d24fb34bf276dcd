# What a user and a developer need. `make run` and `make test` work on a fresh Debian 12 or Ubuntu 24.04 with a Rust toolchain and root or sudo.
#
#   make run [DIR=folder-or-pattern] [ARGS='--listen 0.0.0.0:8080']    see your rasters; a demo folder is made if DIR names none
#   make test      everything that is tested, end to end
#   make soak      the storm of three ingestors, ten times as long
#   make bench     what tiles cost: load on kiln-server with rasters by formula [ROW_SECONDS=6] [KILN_FLOOR=binary of the floor]
#   make ui        the web page, which the binaries then hold; needs Node 18 or newer
#   make lint      formatting, lints, dependency rules
#   make tools     install what building needs, nothing else

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test soak bench ui lint tools demo judges

CARGO := $(or $(shell command -v cargo),$(wildcard $(HOME)/.cargo/bin/cargo))
TARGET := $(or $(CARGO_TARGET_DIR),target)
UI := server/ui
JUDGES := $(abspath $(TARGET))/judges
DIR ?= demo
ROW_SECONDS ?= 6
ARGS ?=

# Installs what the array named in $(1) lists, by Debian's names.
define install
[ $${#$(1)[@]} -gt 0 ] || exit 0; \
command -v apt-get >/dev/null || { echo "please install: $${$(1)[*]} (Debian's names)" >&2; exit 1; }; \
root=(); \
if [ "$$(id -u)" -ne 0 ]; then \
  command -v sudo >/dev/null || { echo "please install as root: apt-get install $${$(1)[*]}" >&2; exit 1; }; root=(sudo); \
fi; \
echo "installing $${$(1)[*]}"; \
"$${root[@]}" apt-get update -q; \
"$${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$${$(1)[@]}"
endef

help:
	@sed -n '3,9s/^# *//p' Makefile

run: tools ui
	@$(CARGO) build --release --bin kiln --bin demo
	@$(if $(filter demo,$(DIR)),$(TARGET)/release/demo demo)
	@exec $(TARGET)/release/kiln serve '$(DIR)' $(ARGS)

demo: tools
	@$(CARGO) run --release --bin demo -- demo

test: tools ui judges
	$(CARGO) build --workspace --bins
	KILN_JUDGES='$(JUDGES)' $(CARGO) test --workspace

soak: tools judges
	$(CARGO) build --workspace --bins
	KILN_SOAK=1 KILN_JUDGES='$(JUDGES)' $(CARGO) test -p tests --test e2e -- --nocapture many_ingestors every_response

bench: tools
	@$(CARGO) build --release --bin kiln --bin kiln-server --bin measure
	@$(TARGET)/release/measure load --seconds $(ROW_SECONDS)

# The web page, anew where a source is newer than it. The binary that is built next holds it; one that is built without says how to get it.
ui:
	@[ -f $(UI)/package.json ] || exit 0; \
	made=$(UI)/dist/index.html; \
	if [ -f $$made ] && [ -z "$$(find $(UI) -maxdepth 1 -type f -newer $$made -print -quit; find $(UI)/src $(UI)/public -newer $$made -print -quit 2>/dev/null)" ]; then \
	  exit 0; \
	fi; \
	missing=(); \
	command -v node >/dev/null || missing+=(nodejs); \
	command -v npm >/dev/null || missing+=(npm); \
	( $(call install,missing) ); \
	node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' || { echo "the web page needs Node 18 or newer; $$(node --version) is installed" >&2; exit 1; }; \
	cmp -s $(UI)/package-lock.json $(UI)/node_modules/.installed || { \
	  echo 'installing what the web page is built with'; \
	  npm ci --prefix $(UI) --no-audit --no-fund --loglevel=error && cp $(UI)/package-lock.json $(UI)/node_modules/.installed; }; \
	echo 'building the web page'; \
	npm run --prefix $(UI) --silent build

# Programs of others that tests hold Kiln against: in a Python environment of their own, and beside their scripts.
judges:
	@missing=(); \
	python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv); \
	command -v gdal_translate >/dev/null || missing+=(gdal-bin); \
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || missing+=(chromium); \
	command -v node >/dev/null || missing+=(nodejs); \
	command -v npm >/dev/null || missing+=(npm); \
	$(call install,missing)
	@if ! cmp -s tests/judges/requirements.txt '$(JUDGES)/requirements.txt'; then \
	  echo 'installing the judges'; \
	  rm -rf '$(JUDGES)'; python3 -m venv '$(JUDGES)'; '$(JUDGES)/bin/pip' install -q -r tests/judges/requirements.txt; \
	  cp tests/judges/requirements.txt '$(JUDGES)/requirements.txt'; \
	fi
	@cmp -s tests/judges/package-lock.json tests/judges/node_modules/.installed || { \
	  npm ci --prefix tests/judges --no-audit --no-fund --loglevel=error && cp tests/judges/package-lock.json tests/judges/node_modules/.installed; }

lint: tools
	@$(CARGO) fmt --version >/dev/null 2>&1 && $(CARGO) clippy --version >/dev/null 2>&1 || rustup component add rustfmt clippy
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	@for crate in shared server; do \
	  if $(CARGO) tree -p $$crate --edges normal,build --prefix none | grep -i '^gdal'; then \
	    echo "$$crate pulls in GDAL: only the ingestor may" >&2; exit 1; \
	  fi; \
	done
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check; \
	  else echo 'cargo-deny is not installed: licences and advisories not checked'; fi

# Looks at what is there, not at package names, so that other systems pass when theirs is installed by hand.
tools:
	@if [ -z '$(CARGO)' ]; then \
	  echo 'cargo is not installed: Kiln is built from source with Rust 1.95 or newer, see https://rustup.rs' >&2; exit 1; \
	fi
	@missing=(); \
	echo 'int main(void){return 0;}' | cc -x c -o /dev/null - 2>/dev/null || missing+=(build-essential); \
	command -v pkg-config >/dev/null || missing+=(pkg-config); \
	if ! { command -v pkg-config >/dev/null && pkg-config --exists gdal; }; then missing+=(libgdal-dev); fi; \
	$(call install,missing)
