# SPDX-License-Identifier: GPL-2.0-or-later
# The state machine, its commands and the queries over its database.
noinst_LTLIBRARIES += libsxsm.la
libsxsm_la_SOURCES = \
	fcgi/meta/command.h fcgi/meta/command.c fcgi/meta/names.c fcgi/meta/items.c fcgi/meta/entry.c \
	fcgi/meta/query.h fcgi/meta/query.c fcgi/meta/query_users.c fcgi/meta/query_files.c \
	fcgi/meta/query_list.c fcgi/meta/query_multipart.c fcgi/meta/query_work.c fcgi/meta/query_space.c \
	fcgi/meta/query_hit.c \
	fcgi/meta/sm/sm.h fcgi/meta/sm/sm_int.h fcgi/meta/sm/sm.c fcgi/meta/sm/schema.c \
	fcgi/meta/sm/db.h fcgi/meta/sm/db.c fcgi/meta/sm/sums.h fcgi/meta/sm/sums.c \
	fcgi/meta/sm/base.h fcgi/meta/sm/base.c fcgi/meta/sm/access.c fcgi/meta/sm/cluster.c \
	fcgi/meta/sm/expire.c fcgi/meta/sm/users.c fcgi/meta/sm/volumes.c fcgi/meta/sm/content.c \
	fcgi/meta/sm/revisions.c fcgi/meta/sm/usage.c fcgi/meta/sm/trim.c fcgi/meta/sm/files.c fcgi/meta/sm/uploads.c fcgi/meta/sm/jobs.c \
	fcgi/meta/sm/holds.c fcgi/meta/sm/multipart.c fcgi/meta/sm/pins.c fcgi/meta/sm/check.c
libsxsm_la_LIBADD = libsxcore.la $(SQLITE_LIBS)

if HAVE_CMOCKA
SX_SM_TESTS = tests/unit/test_sm \
	tests/unit/test_sm_work tests/unit/test_sm_content \
	tests/unit/test_sm_admin tests/unit/test_meta_sums tests/unit/test_meta_base \
	tests/unit/test_sm_versions tests/unit/test_sm_multipart tests/unit/test_sm_rows tests/unit/test_sm_pins \
	tests/unit/test_command tests/unit/test_query tests/unit/test_sm_random
check_PROGRAMS += $(SX_SM_TESTS)
TESTS += $(SX_SM_TESTS)
SX_SM_UTIL = tests/unit/sm_util.c tests/unit/sm_util.h tests/unit/unit.h
tests_unit_test_sm_SOURCES = tests/unit/test_sm.c $(SX_SM_UTIL)
tests_unit_test_sm_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_sm_LDADD = libsxsm.la $(CMOCKA_LIBS)
tests_unit_test_sm_work_SOURCES = tests/unit/test_sm_work.c $(SX_SM_UTIL)
tests_unit_test_sm_work_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_sm_work_LDADD = libsxsm.la $(CMOCKA_LIBS)
tests_unit_test_sm_content_SOURCES = tests/unit/test_sm_content.c $(SX_SM_UTIL)
tests_unit_test_sm_content_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_sm_content_LDADD = libsxsm.la $(CMOCKA_LIBS)
tests_unit_test_sm_admin_SOURCES = tests/unit/test_sm_admin.c $(SX_SM_UTIL)
tests_unit_test_sm_admin_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_sm_admin_LDADD = libsxsm.la $(CMOCKA_LIBS)
tests_unit_test_meta_sums_SOURCES = tests/unit/test_meta_sums.c tests/unit/unit.h
tests_unit_test_meta_sums_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_meta_sums_LDADD = libsxsm.la $(CMOCKA_LIBS)
tests_unit_test_meta_base_SOURCES = tests/unit/test_meta_base.c $(SX_SM_UTIL)
tests_unit_test_meta_base_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_meta_base_LDADD = libsxsm.la $(CMOCKA_LIBS)
tests_unit_test_sm_versions_SOURCES = tests/unit/test_sm_versions.c $(SX_SM_UTIL)
tests_unit_test_sm_versions_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_sm_versions_LDADD = libsxsm.la $(CMOCKA_LIBS)
tests_unit_test_sm_multipart_SOURCES = tests/unit/test_sm_multipart.c $(SX_SM_UTIL)
tests_unit_test_sm_multipart_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_sm_multipart_LDADD = libsxsm.la $(CMOCKA_LIBS)
tests_unit_test_sm_rows_SOURCES = tests/unit/test_sm_rows.c $(SX_SM_UTIL)
tests_unit_test_sm_rows_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_sm_rows_LDADD = libsxsm.la $(CMOCKA_LIBS)
tests_unit_test_sm_pins_SOURCES = tests/unit/test_sm_pins.c $(SX_SM_UTIL)
tests_unit_test_sm_pins_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_sm_pins_LDADD = libsxsm.la $(CMOCKA_LIBS)
tests_unit_test_command_SOURCES = tests/unit/test_command.c $(SX_SM_UTIL)
tests_unit_test_command_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_command_LDADD = libsxsm.la $(CMOCKA_LIBS)
tests_unit_test_query_SOURCES = tests/unit/test_query.c $(SX_SM_UTIL)
tests_unit_test_query_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_query_LDADD = libsxsm.la $(CMOCKA_LIBS)
tests_unit_test_sm_random_SOURCES = tests/unit/test_sm_random.c $(SX_SM_UTIL)
tests_unit_test_sm_random_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_sm_random_LDADD = libsxsm.la $(CMOCKA_LIBS)
endif
