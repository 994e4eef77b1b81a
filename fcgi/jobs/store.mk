# SPDX-License-Identifier: GPL-2.0-or-later
# The garbage collector, the block transfer manager and its queue.
noinst_LTLIBRARIES += libsxmovers.la
libsxmovers_la_SOURCES = \
	fcgi/jobs/collect.h fcgi/jobs/collect.c fcgi/jobs/collector.c \
	fcgi/jobs/transfer_int.h fcgi/jobs/transfer.c fcgi/jobs/push.c fcgi/jobs/fetch.c

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_collect
TESTS += tests/unit/test_collect
tests_unit_test_collect_SOURCES = tests/unit/test_collect.c tests/unit/store_util.h
tests_unit_test_collect_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_collect_LDADD = libsxmovers.la libsxstore.la libsxcore.la $(CMOCKA_LIBS)
endif
