# SPDX-License-Identifier: GPL-2.0-or-later
# The garbage collector, the block transfer manager and its queue.
noinst_HEADERS += fcgi/jobs/collector.h fcgi/jobs/transfer.h
noinst_LTLIBRARIES += libsxmovers.la
libsxmovers_la_SOURCES = fcgi/jobs/collect.h fcgi/jobs/collect.c

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_collect
TESTS += tests/unit/test_collect
tests_unit_test_collect_SOURCES = tests/unit/test_collect.c tests/unit/store_util.h
tests_unit_test_collect_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_collect_LDADD = libsxmovers.la libsxstore.la libsxcore.la $(CMOCKA_LIBS)
endif
