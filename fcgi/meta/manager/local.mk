# SPDX-License-Identifier: GPL-2.0-or-later
# The group manager, its client, and the node's settings that both read.
noinst_LTLIBRARIES += libsxconf.la libsxmeta.la
libsxconf_la_SOURCES = fcgi/conf.h fcgi/conf.c fcgi/keys.h fcgi/keys.c fcgi/ca.h fcgi/ca.c
libsxconf_la_LIBADD = libsxcore.la

# Client and manager.
libsxmeta_la_SOURCES = fcgi/meta/meta.h fcgi/meta/meta.c \
	fcgi/meta/manager/manager.h fcgi/meta/manager/manager.c \
	fcgi/meta/manager/loop.h fcgi/meta/manager/loop.c \
	fcgi/meta/manager/exec.h fcgi/meta/manager/exec.c \
	fcgi/meta/manager/frame.h fcgi/meta/manager/frame.c \
	fcgi/meta/manager/tls.h fcgi/meta/manager/tls.c \
	fcgi/meta/manager/conn.h fcgi/meta/manager/conn.c \
	fcgi/meta/manager/address.h fcgi/meta/manager/address.c \
	fcgi/meta/manager/accept.h fcgi/meta/manager/accept.c \
	fcgi/meta/manager/dial.h fcgi/meta/manager/dial.c \
	fcgi/meta/manager/links.h fcgi/meta/manager/links.c \
	fcgi/meta/manager/local.h fcgi/meta/manager/local.c \
	fcgi/meta/manager/batch.h fcgi/meta/manager/batch.c \
	fcgi/meta/manager/groupdb.h fcgi/meta/manager/groupdb.c \
	fcgi/meta/manager/apply.h fcgi/meta/manager/apply.c \
	fcgi/meta/manager/stable.h fcgi/meta/manager/stable.c \
	fcgi/meta/manager/logtime.h fcgi/meta/manager/logtime.c \
	fcgi/meta/manager/drive.h fcgi/meta/manager/drive.c \
	fcgi/meta/manager/copy.h fcgi/meta/manager/copy.c \
	fcgi/meta/manager/waiters.h fcgi/meta/manager/waiters.c \
	fcgi/meta/manager/submits.h fcgi/meta/manager/submits.c \
	fcgi/meta/manager/reads.h fcgi/meta/manager/reads.c \
	fcgi/meta/manager/roster.h fcgi/meta/manager/roster.c \
	fcgi/meta/manager/membership.h fcgi/meta/manager/membership.c \
	fcgi/meta/manager/freespace.h fcgi/meta/manager/freespace.c \
	fcgi/meta/manager/stop.h fcgi/meta/manager/stop.c \
	fcgi/meta/manager/status.h fcgi/meta/manager/status.c \
	fcgi/meta/manager/serve.h fcgi/meta/manager/serve.c \
	fcgi/meta/manager/install.h fcgi/meta/manager/install.c \
	fcgi/meta/manager/heal.h fcgi/meta/manager/heal.c \
	fcgi/meta/manager/first.h fcgi/meta/manager/first.c
libsxmeta_la_LIBADD = libsxsm.la libsxraft.la libsxconf.la $(SSL_LIBS) $(SQLITE_LIBS)

if HAVE_CMOCKA
sx_manager_tests = tests/unit/test_conf tests/unit/test_address tests/unit/test_waiters \
	tests/unit/test_roster tests/unit/test_logtime tests/unit/test_manager tests/unit/test_manager_chaos \
	tests/unit/test_manager_hostile
check_PROGRAMS += $(sx_manager_tests)
TESTS += $(sx_manager_tests)
tests_unit_test_conf_SOURCES = tests/unit/test_conf.c tests/unit/unit.h
tests_unit_test_conf_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_conf_LDADD = libsxconf.la libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_address_SOURCES = tests/unit/test_address.c tests/unit/unit.h
tests_unit_test_address_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_address_LDADD = libsxmeta.la $(CMOCKA_LIBS)
tests_unit_test_waiters_SOURCES = tests/unit/test_waiters.c tests/unit/unit.h
tests_unit_test_waiters_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_waiters_LDADD = libsxmeta.la $(CMOCKA_LIBS)
tests_unit_test_roster_SOURCES = tests/unit/test_roster.c tests/unit/unit.h
tests_unit_test_roster_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_roster_LDADD = libsxmeta.la $(CMOCKA_LIBS)
tests_unit_test_logtime_SOURCES = tests/unit/test_logtime.c tests/unit/unit.h
tests_unit_test_logtime_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_logtime_LDADD = libsxmeta.la $(CMOCKA_LIBS)
tests_unit_test_manager_SOURCES = tests/unit/test_manager.c tests/unit/unit.h $(sx_manager_util)
tests_unit_test_manager_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_manager_LDADD = libsxmeta.la $(CMOCKA_LIBS)
tests_unit_test_manager_chaos_SOURCES = tests/unit/test_manager_chaos.c tests/unit/unit.h $(sx_manager_util)
tests_unit_test_manager_chaos_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_manager_chaos_LDADD = libsxmeta.la $(CMOCKA_LIBS)
tests_unit_test_manager_hostile_SOURCES = tests/unit/test_manager_hostile.c tests/unit/unit.h $(sx_manager_util)
tests_unit_test_manager_hostile_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_manager_hostile_LDADD = libsxmeta.la $(SSL_LIBS) $(CMOCKA_LIBS)
endif

# Not installed: tests/bench/bench_meta [nodes [seconds]]
sx_manager_util = tests/unit/manager_util.h tests/unit/manager_util.c fcgi/ca.h fcgi/ca.c
EXTRA_PROGRAMS = tests/bench/bench_meta
tests_bench_bench_meta_SOURCES = tests/bench/bench_meta.c $(sx_manager_util)
tests_bench_bench_meta_CFLAGS = $(AM_CFLAGS)
tests_bench_bench_meta_LDADD = libsxmeta.la
