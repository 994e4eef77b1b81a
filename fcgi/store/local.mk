# SPDX-License-Identifier: GPL-2.0-or-later
# The block store of a node: packs and their index.
noinst_LTLIBRARIES += libsxstore.la
libsxstore_la_SOURCES = \
	fcgi/store/values.h fcgi/store/store.h fcgi/store/store_int.h fcgi/store/store.c \
	fcgi/store/put.c fcgi/store/ask.c fcgi/store/admin.h fcgi/store/admin.c fcgi/store/drain.c \
	fcgi/store/move.c fcgi/store/balance.c \
	 fcgi/store/devices.h fcgi/store/devices.c fcgi/store/label.h fcgi/store/label.c \
	fcgi/store/device.h fcgi/store/device_int.h fcgi/store/device.c fcgi/store/session.c \
	fcgi/store/db.h fcgi/store/db.c fcgi/store/errors.h fcgi/store/errors.c fcgi/store/doorkeeper.h \
	fcgi/store/shard.c fcgi/store/packs.c fcgi/store/packfile.c fcgi/store/append.c fcgi/store/read.c \
	fcgi/store/scan.c \
	fcgi/store/insert.c fcgi/store/ops.c fcgi/store/recover.c fcgi/store/compact.c fcgi/store/live.c \
	fcgi/store/scrub.h fcgi/store/scrub.c fcgi/store/verify.h fcgi/store/verify.c fcgi/store/check.c fcgi/store/node.c \
	fcgi/jobs/queue.h fcgi/jobs/queue.c fcgi/jobs/proc.h fcgi/jobs/proc.c \
	fcgi/jobs/scrub_state.h fcgi/jobs/scrub_state.c \
	fcgi/jobs/counters.h fcgi/jobs/counters.c fcgi/jobs/collector.h fcgi/jobs/transfer.h
EXTRA_DIST += fcgi/store/README.md
libsxstore_la_LIBADD = $(SQLITE_LIBS)

if HAVE_CMOCKA
sx_store_tests = tests/unit/test_store tests/unit/test_store_crash tests/unit/test_store_kill \
	tests/unit/test_store_damage tests/unit/test_store_devices tests/unit/test_store_faults \
	tests/unit/test_store_scrub tests/unit/test_store_flips tests/unit/test_store_direct \
	tests/unit/test_store_balance \
	tests/unit/test_store_rebuild tests/unit/test_store_matrix \
	tests/unit/test_queue
check_PROGRAMS += $(sx_store_tests)
TESTS += $(sx_store_tests)
tests_unit_test_store_SOURCES = tests/unit/test_store.c tests/unit/store_util.h
tests_unit_test_store_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_store_LDADD = libsxstore.la libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_store_crash_SOURCES = tests/unit/test_store_crash.c tests/unit/store_util.h tests/unit/store_session.h
tests_unit_test_store_crash_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_store_crash_LDADD = libsxstore.la libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_store_kill_SOURCES = tests/unit/test_store_kill.c tests/unit/store_util.h tests/unit/store_session.h
tests_unit_test_store_kill_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_store_kill_LDADD = libsxstore.la libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_store_damage_SOURCES = tests/unit/test_store_damage.c tests/unit/store_util.h
tests_unit_test_store_damage_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_store_damage_LDADD = libsxstore.la libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_store_direct_SOURCES = tests/unit/test_store_direct.c tests/unit/store_util.h
tests_unit_test_store_direct_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_store_direct_LDADD = libsxstore.la libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_store_flips_SOURCES = tests/unit/test_store_flips.c tests/unit/store_util.h
tests_unit_test_store_flips_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_store_flips_LDADD = libsxstore.la libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_store_scrub_SOURCES = tests/unit/test_store_scrub.c tests/unit/store_util.h
tests_unit_test_store_scrub_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_store_scrub_LDADD = libsxstore.la libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_store_rebuild_SOURCES = tests/unit/test_store_rebuild.c tests/unit/store_util.h
tests_unit_test_store_rebuild_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_store_rebuild_LDADD = libsxstore.la libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_store_matrix_SOURCES = tests/unit/test_store_matrix.c tests/unit/store_util.h
tests_unit_test_store_matrix_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_store_matrix_LDADD = libsxstore.la libsxcore.la $(CMOCKA_LIBS)
# Our own allocations fail, too: see __wrap_malloc() there.
tests_unit_test_store_faults_SOURCES = tests/unit/test_store_faults.c tests/unit/store_util.h tests/unit/store_session.h
tests_unit_test_store_faults_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_store_faults_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
tests_unit_test_store_faults_LDADD = libsxstore.la libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_store_balance_SOURCES = tests/unit/test_store_balance.c tests/unit/store_devices.h tests/unit/store_util.h
tests_unit_test_store_balance_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_store_balance_LDADD = libsxstore.la libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_store_devices_SOURCES = tests/unit/test_store_devices.c tests/unit/store_devices.h tests/unit/store_util.h
tests_unit_test_store_devices_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_store_devices_LDADD = libsxstore.la libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_queue_SOURCES = tests/unit/test_queue.c tests/unit/store_util.h
tests_unit_test_queue_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_queue_LDADD = libsxstore.la libsxcore.la $(CMOCKA_LIBS)
endif
