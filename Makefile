# Two commands do everything: `make demo` and `make test`. Both install what is missing on the machine first.
SHELL := /usr/bin/env bash
.DEFAULT_GOAL := help

.PHONY: help
help:
	@echo "make build  build evalflow for this machine's processor: target/release/evalflow"
	@echo "make demo   build evalflow and run pipelines/therapy.yaml on the embedded engine"
	@echo "make test   check formatting, lints, docs and layers, then run every test"

.PHONY: setup
setup:
	@scripts/setup

.PHONY: build
build: setup
	@source scripts/environment && cargo build --release --locked

.PHONY: demo
demo: setup
	@scripts/demo

.PHONY: test
test: setup
	@scripts/test
