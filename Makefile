# SPDX-License-Identifier: GPL-3.0-or-later
# Causeway's one makefile. Objects go under $(B); V=1 shows the commands; make -j is safe.
SHELL := /bin/bash
B ?= build
SAN ?=
CC := $(if $(filter default,$(origin CC)),gcc,$(CC))
PREFIX ?= /usr/local
V ?= 0
Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),@:,@printf '  %-8s %s\n' $(1) $(2))
VERSION := $(shell cat VERSION)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules

help: ## this list
	@echo "Causeway $(VERSION). Targets:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
	@echo "V=1 shows commands, RUN_SECONDS=N ends 'make run' after N seconds."

# ---- what everything is built with -----------------------------------------------------------------------------
WOLFSSL = $(eval WOLFSSL := $$(shell tools/wolfssl.sh --path 2>/dev/null))$(WOLFSSL)
PKGS = liburing lmdb libnghttp2 expat jansson yaml-0.1 zlib libprotobuf-c
MSGPACK = $(eval MSGPACK := $$(shell pkg-config --exists msgpack-c && echo msgpack-c || echo msgpack))$(MSGPACK)
PKG_CFLAGS = $(eval PKG_CFLAGS := $$(shell pkg-config --cflags $$(PKGS) $$(MSGPACK)))$(PKG_CFLAGS)
PKG_LIBS = $(eval PKG_LIBS := $$(shell pkg-config --libs $$(PKGS) $$(MSGPACK)))$(PKG_LIBS)

# gcc with -fsanitize=undefined warns of conversions that it accepts without: -Wconversion is for plain builds
WARN = -Wall -Wextra -Werror -Wshadow $(if $(SAN),,-Wconversion) -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wimplicit-fallthrough \
 -Wpointer-arith -Wundef
CF_PROTECTION := $(if $(filter x86_64,$(shell uname -m)),-fcf-protection)
HARDEN = -fstack-protector-strong -fPIE $(CF_PROTECTION) $(if $(SAN),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
OPT = -O2 -g
SANFLAGS = $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
CFLAGS_ALL = -std=gnu11 -D_GNU_SOURCE $(OPT) $(WARN) $(HARDEN) $(SANFLAGS) -pthread -MMD -MP $(CFLAGS)
CPPFLAGS_ALL = -I. -I$(B)/gen -isystem $(WOLFSSL)/include -DWOLFSSL_USE_OPTIONS_H $(PKG_CFLAGS) -DCAUSEWAY_VERSION='"$(VERSION)"'
LDFLAGS_ALL = -pthread -pie -Wl,-z,relro,-z,now $(SANFLAGS) $(LDFLAGS)
# libcrypto only where core/tls_libcrypto.c is part of the program
CRYPTO_LIBS = $(eval CRYPTO_LIBS := $$(shell pkg-config --libs libcrypto))$(CRYPTO_LIBS)
LIBS_ALL = $(WOLFSSL)/lib/libwolfssl.a $(PKG_LIBS) -lm -Wl,--push-state,--as-needed $(CRYPTO_LIBS) -Wl,--pop-state

# ---- the house: one archive a folder, lower layers last ---------------------------------------------------------
LAYERS := mgmtapi provision amt gateway store wire core
layer_srcs = $(filter-out gateway/causewayd.c,$(wildcard $(1)/*.c)) $(if $(filter mgmtapi,$(1)),$(PROTO_C))
ARCHIVES = $(foreach l,$(LAYERS),$(if $(strip $(call layer_srcs,$(l))),$(B)/lib$(l).a))
PROTOS := $(sort $(shell find mgmtapi/proto -name '*.proto'))
# Well-known types that ours import; protoc brings their .proto files, protobuf-c has no code for them.
PROTO_WKT := $(addprefix google/protobuf/,any.proto descriptor.proto duration.proto field_mask.proto timestamp.proto)
PROTO_PB := $(PROTOS:mgmtapi/proto/%.proto=$(B)/gen/%.pb-c.c) $(if $(PROTOS),$(PROTO_WKT:%.proto=$(B)/gen/%.pb-c.c))
PROTO_H := $(PROTO_PB:.c=.h)
PROTO_C := $(PROTO_PB) $(if $(PROTOS),$(B)/gen/api_descriptors.c)
CLI_SRCS := $(wildcard mgmtapi/cli/*.c)
FLEET_SRCS := $(wildcard bench/fleet/*.c)
BENCH_SRCS := $(wildcard bench/*.c)
TEST_SRCS := $(wildcard tests/unit/*_test.c)
TEST_HELPERS := $(wildcard tests/unit/support/*.c)
FUZZ_SRCS := $(wildcard tests/fuzz/fuzz_*.c)
objs = $(patsubst %.c,$(B)/obj/%.o,$(patsubst $(B)/gen/%,gen/%,$(1)))

PROGRAMS := $(if $(wildcard gateway/causewayd.c),$(B)/causewayd) $(if $(CLI_SRCS),$(B)/causeway) \
 $(if $(FLEET_SRCS),$(B)/causeway-fleet)
API_LOAD_SRCS := $(wildcard bench/api_load/*.c)
BENCHES := $(BENCH_SRCS:%.c=$(B)/%) $(B)/bench/api_load
TESTS := $(TEST_SRCS:%.c=$(B)/%)

all: $(PROGRAMS) ## build the three programs into build/
deps: ## install what is missing (apt) and build the pinned wolfSSL
	$(Q)tools/deps.sh build check
.PHONY: help all deps

need-wolfssl:
	@[ -n "$(WOLFSSL)" ] || { echo "wolfSSL is not built yet: run 'make deps' first (make run and make check do it themselves)"; exit 1; }
.PHONY: need-wolfssl

$(B)/obj/%.o: %.c | need-wolfssl $(PROTO_H)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -c -o $@ $<
# fiber_stack.c switches stacks without their shadows and must not promise otherwise
$(B)/obj/core/fiber_stack.o: CF_PROTECTION := $(CF_PROTECTION:%=%=branch)
# another wolfSSL (its headers are system headers, which -MMD leaves out): these and the programs are made again
$(call objs,$(wildcard core/tls*.c core/crypto*.c core/x509*.c core/pem.c bench/handshake.c) tests/unit/tls_rsa_test.c tests/unit/support/wolf_heap.c): $(wildcard $(WOLFSSL)/lib/libwolfssl.a)
$(B)/obj/gen/%.o: $(B)/gen/%.c | need-wolfssl $(PROTO_H)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -Wno-conversion -Wno-shadow -c -o $@ $<
$(B)/gen/%.pb-c.c $(B)/gen/%.pb-c.h &: mgmtapi/proto/%.proto
	$(call say,PROTOC,$<)
	@mkdir -p $(B)/gen
	$(Q)protoc -I mgmtapi/proto --c_out=$(B)/gen $< 2> >(grep -v deprecated >&2)
$(PROTO_WKT:%.proto=$(B)/gen/%.pb-c.c): $(B)/gen/%.pb-c.c:
	$(call say,PROTOC,$*.proto)
	@mkdir -p $(B)/gen
	$(Q)protoc --c_out=$(B)/gen $*.proto 2> >(grep -v deprecated >&2)
$(PROTO_WKT:%.proto=$(B)/gen/%.pb-c.h): %.h: %.c ;
# The descriptor set of the whole API, as the server embeds it for reflection, access rules and stream flags.
$(B)/gen/api_descriptors.pb: $(PROTOS)
	$(call say,PROTOC,$@)
	@mkdir -p $(B)/gen
	$(Q)protoc -I mgmtapi/proto --include_imports --descriptor_set_out=$@ $(PROTOS)
$(B)/gen/api_descriptors.c: $(B)/gen/api_descriptors.pb
	$(call say,EMBED,$<)
	$(Q){ echo '#include "mgmtapi/descriptors.h"'; echo 'const uint8_t api_descriptors[] = {'; \
	 od -An -v -tu1 $< | sed 's/\([0-9]\{1,\}\) */\1,/g'; \
	 echo '};'; echo 'const size_t api_descriptors_len = sizeof(api_descriptors);'; } >$@

define archive
$(B)/lib$(1).a: $(call objs,$(call layer_srcs,$(1)))
	$$(call say,AR,$$@)
	@rm -f $$@
	$(Q)$(AR) rcs $$@ $$^
endef
$(foreach l,$(LAYERS),$(eval $(call archive,$(l))))

define link
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) -Wl,--start-group $(ARCHIVES) -Wl,--end-group $(LIBS_ALL) $(1)
endef
$(B)/causewayd: $(call objs,gateway/causewayd.c) $(ARCHIVES)
	$(call link)
$(B)/causeway: $(call objs,$(CLI_SRCS)) $(ARCHIVES)
	$(call link)
$(B)/causeway-fleet: $(call objs,$(FLEET_SRCS)) $(ARCHIVES)
	$(call link)
$(B)/bench/api_load: $(call objs,$(API_LOAD_SRCS)) $(ARCHIVES)
	$(call link)
$(B)/bench/%: $(B)/obj/bench/%.o $(ARCHIVES)
	$(call link)
# bench/fleet's objects without its main, for the tests of its parts
FLEET_PARTS = $(call objs,$(filter-out bench/fleet/main.c,$(FLEET_SRCS)))
$(B)/tests/unit/fleet_%_test: $(B)/obj/tests/unit/fleet_%_test.o $(call objs,$(TEST_HELPERS)) $(FLEET_PARTS) $(ARCHIVES)
	$(call link,-lcmocka)
$(B)/tests/unit/cli_%_test: $(B)/obj/tests/unit/cli_%_test.o $(call objs,$(TEST_HELPERS)) \
 $(call objs,$(filter-out mgmtapi/cli/main.c,$(CLI_SRCS))) $(ARCHIVES)
	$(call link,-lcmocka)
$(B)/tests/unit/%_test: $(B)/obj/tests/unit/%_test.o $(call objs,$(TEST_HELPERS)) $(ARCHIVES)
	$(call link,-lcmocka)

# ---- tests --------------------------------------------------------------------------------------------------------
REPLAYS := $(FUZZ_SRCS:tests/fuzz/%.c=$(B)/tests/fuzz/%_replay)
FUZZ_PARTS = $(call objs,$(filter-out bench/fleet/main.c,$(FLEET_SRCS)))
$(B)/tests/fuzz/%_replay: $(B)/obj/tests/fuzz/%.o $(B)/obj/tests/fuzz/replay.o $(FUZZ_PARTS) $(ARCHIVES)
	$(call link)
$(B)/tests/fuzz/%_fuzzer: $(B)/obj/tests/fuzz/%.o $(FUZZ_PARTS) $(ARCHIVES)
	$(call link,-fsanitize=fuzzer)

check: deps ## install dependencies, build, run every test; ends with "N passed, N failed, N skipped"
	$(Q)tools/check.sh unit corpus e2e
tests: $(TESTS)
replays: $(REPLAYS)
check-unit: tests
	$(Q)tools/run-tests.sh $(TESTS)
check-corpus: replays
	$(Q)tools/run-corpus.sh $(B)
check-e2e: all
	$(Q)B=$(B) TEST_TIMEOUT=900 tools/run-tests.sh $(sort $(wildcard tests/e2e/*_test.py))
.PHONY: check tests replays check-unit check-corpus check-e2e

asan: deps ## unit tests and corpora under AddressSanitizer and UndefinedBehaviorSanitizer
	$(Q)ASAN_OPTIONS=detect_leaks=1 TEST_TIMEOUT=900 $(MAKE) B=build/asan SAN=address,undefined OPT="-O1 -g" check-unit check-corpus
ubsan: asan ## the same build: both sanitizers go together
tsan: deps ## unit tests of threaded parts, then tunnels that churn under API clients for CHURN_SECONDS (60), under ThreadSanitizer
	$(Q)TSAN_OPTIONS="halt_on_error=0 exitcode=66 suppressions=$(CURDIR)/tests/tsan.supp" TEST_TIMEOUT=900 $(MAKE) B=build/tsan SAN=thread OPT="-O1 -g" tsan-run
tsan-run: all tests
	$(Q)tools/run-tests.sh $(filter $(foreach t,$(TSAN_TESTS),%/$(t)_test),$(TESTS))
	$(Q)B=$(B) tests/e2e/churn.sh
TSAN_TESTS = lock loop timer fiber conn conn_tls handshake half_open tls tls_rsa store store_fiber store_open log metric bucket registry attempts relay
FUZZ_SECONDS ?= 60
fuzz: ## run each libFuzzer target for FUZZ_SECONDS (60); needs clang (installed if missing)
	$(Q)tools/deps.sh build check fuzz
	$(Q)$(MAKE) B=build/fuzz CC=clang SAN=address,undefined,fuzzer-no-link OPT="-O1 -g" fuzz-run
FUZZERS := $(FUZZ_SRCS:tests/fuzz/%.c=$(B)/tests/fuzz/%_fuzzer)
fuzz-run: $(FUZZERS)
	$(Q)tools/run-fuzz.sh $(B) $(FUZZ_SECONDS)
.PHONY: asan ubsan tsan tsan-run fuzz fuzz-run

tidy: ## format, static analysis, layer rule, sizes of files and functions
	$(Q)tools/deps.sh build check lint
	$(Q)$(MAKE) --no-print-directory tidy-run
tidy-run: $(PROTO_H) need-wolfssl
	$(Q)tools/tidy.sh "$(filter-out -DCAUSEWAY_VERSION=%,$(CPPFLAGS_ALL))"
.PHONY: tidy tidy-run

# ---- running, measuring, installing ---------------------------------------------------------------------------------
run: deps ## build, then start a gateway with 20 simulated devices in the foreground and say what to type next
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all
	$(Q)tools/run.sh
bench: deps ## measure everything beside its references (see bench/README.md); BENCH="--only NAME" and other options of the driver
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all $(BENCHES) && B=$(B) bench/driver.py $(BENCH)
bench-quick: deps ## the small form of it, under three minutes
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all $(BENCHES) && B=$(B) bench/driver.py --quick $(BENCH)
bench-peers: ## the same devices against MeshCentral (from npm, in a temporary folder, on loopback) and against us, under six minutes
	$(Q)tools/deps.sh build check peers
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all && B=$(B) bench/driver.py --only peers $(BENCH)
bench-report: ## draw bench/results as SVG, there and in docs/
	$(Q)bench/report.py --docs docs
bench-endurance: deps ## tunnels with churn, calls, reloads and a restart for BENCH_ENDURANCE_SECONDS (3600); any miss fails
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all $(BENCHES) && B=$(B) bench/driver.py --only endurance --counts
bench-idle: deps ## memory of 1,000 held tunnels, with the floor of each layer
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all $(BENCHES) && bench/idle.sh
install: all ## put programs, man pages, unit, sysctl and completion under DESTDIR/PREFIX
	$(Q)packaging/install.sh "$(B)" "$(DESTDIR)" "$(PREFIX)"
.PHONY: run bench bench-quick bench-report bench-endurance bench-peers bench-idle install

clean: ## remove build/
	rm -rf build
.PHONY: clean

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
