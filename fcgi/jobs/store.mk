# SPDX-License-Identifier: GPL-2.0-or-later
# The garbage collector, the block transfer manager and its queue.
noinst_LTLIBRARIES += libsxmovers.la
libsxmovers_la_SOURCES = \
	fcgi/jobs/collect.h fcgi/jobs/collect.c fcgi/jobs/collect_state.c fcgi/jobs/collector.c \
	fcgi/jobs/scrub.h fcgi/jobs/scrub.c \
	fcgi/jobs/transfer_int.h fcgi/jobs/transfer.c fcgi/jobs/push.c fcgi/jobs/fetch.c
EXTRA_DIST += fcgi/jobs/README.md

# Not installed: tests/bench/bench_collect [blocks [directory]]
EXTRA_PROGRAMS += tests/bench/bench_collect
tests_bench_bench_collect_SOURCES = tests/bench/bench_collect.c
tests_bench_bench_collect_LDADD = libsxmovers.la libsxsm.la libsxstore.la libsxcore.la

if HAVE_CMOCKA
sx_mover_tests = tests/unit/test_collect tests/unit/test_collect_rule tests/unit/test_transfer
check_PROGRAMS += $(sx_mover_tests)
TESTS += $(sx_mover_tests)
tests_unit_test_collect_SOURCES = tests/unit/test_collect.c tests/unit/store_util.h $(SX_SM_UTIL)
tests_unit_test_collect_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_collect_LDADD = libsxmovers.la libsxsm.la libsxstore.la libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_collect_rule_SOURCES = tests/unit/test_collect_rule.c
tests_unit_test_collect_rule_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_collect_rule_LDADD = libsxmovers.la libsxstore.la libsxcore.la $(CMOCKA_LIBS)
# Its nodes are stand-ins for fcgi/cluster/peers.c and transfer.c, so not the library.
tests_unit_test_transfer_SOURCES = tests/unit/test_transfer.c tests/unit/store_util.h \
	fcgi/jobs/fetch.c fcgi/jobs/push.c
tests_unit_test_transfer_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_transfer_LDADD = libsxstore.la libsxcore.la $(CMOCKA_LIBS)
endif
