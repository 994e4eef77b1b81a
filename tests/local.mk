# SPDX-License-Identifier: GPL-2.0-or-later
# Unit tests (tests/unit/test_*.c) are named in the local.mk of the folder they test; this file
# names what tests the whole: real clusters of the build tree (tests/cluster, tests/fault; Python and
# bash, on tests/lib), and the style of the tree.
TEST_EXTENSIONS = .py .sh
PY_LOG_COMPILER = python3 -B
SH_LOG_COMPILER = bash
AM_TESTS_ENVIRONMENT = SX_SRCDIR='$(abs_top_srcdir)' SX_BUILDDIR='$(abs_top_builddir)' SX_NGINX='$(NGINX)'; \
	export SX_SRCDIR SX_BUILDDIR SX_NGINX;

sx_test_lib = tests/lib/cluster.py tests/lib/sxhttp.py tests/lib/cluster.sh tests/lib/load.py \
	tests/lib/disk.py tests/lib/fault.py tests/lib/goals.py tests/lib/boto.py tests/lib/s3.py
sx_style_tests = tests/style/tree.py tests/style/headers.py tests/style/tools.py
sx_cluster_tests = tests/cluster/test_single.py tests/cluster/test_batch.py tests/cluster/test_bad_input.py tests/cluster/test_gc.py \
	tests/cluster/test_s3.py tests/cluster/test_s3_config.py tests/cluster/test_s3_objects.py tests/cluster/test_lifecycle.py tests/cluster/test_s3_website.py tests/cluster/test_roles.py tests/cluster/test_repair.py tests/cluster/test_scrub.py \
	tests/cluster/test_s3_customer.py \
	tests/cluster/test_three.py tests/cluster/test_space.py tests/cluster/test_devices.py \
	tests/cluster/test_damaged_node.py tests/cluster/test_bench.py
sx_fault_tests = tests/fault/test_power.py tests/fault/test_kill.py tests/fault/test_fsync.py \
	tests/fault/test_full.py tests/fault/test_reclaim.py tests/fault/test_damage.py \
	tests/fault/test_hang.py tests/fault/test_order.py tests/fault/test_clocks.py tests/fault/test_jumps.py tests/fault/test_slow.py
sx_s3_client_tests = tests/s3/test_hostile.py tests/s3/test_expect.py tests/s3/test_consistency.py \
	tests/s3/test_replaced.py tests/s3/test_no_space.py tests/s3/test_cache.py \
	tests/s3/test_s3cmd.py tests/s3/test_rclone.py tests/s3/test_restic.py tests/s3/test_libs3.py \
	tests/s3/test_awscli.py tests/s3/test_duplicity.py tests/s3/test_s3fs.py
dist_check_SCRIPTS += $(sx_style_tests) $(sx_cluster_tests) $(sx_s3_client_tests) $(sx_fault_tests)
TESTS += $(sx_style_tests) $(sx_cluster_tests) $(sx_s3_client_tests) $(sx_fault_tests)
EXTRA_DIST += $(sx_test_lib)

# `check` is also the name of a target, so it cannot stand in EXTRA_DIST.
dist-hook:
	cp $(top_srcdir)/check $(distdir)/check

# The whole fault tier (`make check` does a tenth of it): at most 30 minutes.
.PHONY: check-fault
check-fault: all
	status=0; \
	SX_FAULT_SHARE=1 $(MAKE) $(AM_MAKEFLAGS) check TESTS='$(sx_fault_tests)' || status=$$?; \
	python3 -B $(top_srcdir)/tests/lib/goals.py $(abs_top_builddir); \
	exit $$status

# The tests with S3 clients, larger than in `make check`: some minutes.  Clients that are not installed are skipped;
# tools/install-deps --s3 installs all.
.PHONY: check-s3
check-s3: all
	SX_S3_FULL=1 $(MAKE) $(AM_MAKEFLAGS) check TESTS='$(sx_s3_client_tests)'

# The README of each folder.
EXTRA_DIST += $(sx_readmes)
sx_readmes = README CHANGES quickstart .ci/run \
	docs/api.md docs/design.md docs/formats.md docs/glossary.md docs/operations.md docs/promises.md docs/s3.md docs/s3-clients.md docs/reliability.md \
	tests/bench/sxbench.py tests/bench/s3bench.py tests/bench/swift.py tests/bench/README.md tests/bench/backup.py tests/bench/sweep.py tests/bench/tree.py \
	tests/fault/README.md tests/sim/README.md \
	fcgi/README.md fcgi/api/README.md fcgi/cluster/README.md fcgi/meta/README.md fcgi/meta/manager/README.md \
	fcgi/meta/raft/README.md fcgi/meta/sm/README.md libsx/auth/README.md libsx/base/README.md libsx/codec/README.md \
	libsx/crypt/README.md libsx/http/README.md libsx/io/README.md libsx/place/README.md tools/README.md

check_LTLIBRARIES = tests/lib/wallclock.la
tests_lib_wallclock_la_SOURCES = tests/lib/wallclock.c
tests_lib_wallclock_la_LDFLAGS = -module -shared -avoid-version -rpath /nowhere

check_PROGRAMS += tests/lib/sxload
tests_lib_sxload_SOURCES = tests/lib/load.c
tests_lib_sxload_LDADD = libsxclient.la libsxcore.la
