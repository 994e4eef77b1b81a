# SPDX-License-Identifier: GPL-2.0-or-later
# The workers: requests, routes, answers.
noinst_LTLIBRARIES += libsxapi.la
libsxapi_la_SOURCES = \
	fcgi/board.h fcgi/board.c fcgi/cache.h fcgi/cache.c \
	fcgi/api/worker.h fcgi/api/worker.c \
	fcgi/api/app.h fcgi/api/app.c fcgi/api/pin.h fcgi/api/pin.c \
	fcgi/api/request.h fcgi/api/request.c \
	fcgi/api/reply.h fcgi/api/reply.c \
	fcgi/api/uri.h fcgi/api/uri.c \
	fcgi/api/auth.h fcgi/api/auth.c \
	fcgi/api/route.h fcgi/api/route.c fcgi/api/handlers.h \
	fcgi/api/common.h fcgi/api/common.c \
	fcgi/api/ticket.h fcgi/api/ticket.c \
	fcgi/api/join.h fcgi/api/h_join.c \
	fcgi/api/status.h fcgi/api/h_status.c fcgi/api/ask.h fcgi/api/ask.c \
	fcgi/api/space.h fcgi/api/space.c fcgi/api/h_space.c \
	fcgi/api/h_cluster.c fcgi/api/h_volumes.c fcgi/api/h_users.c \
	fcgi/api/h_files.c fcgi/api/put.h fcgi/api/put.c fcgi/api/h_put.c fcgi/api/h_blocks.c fcgi/api/h_jobs.c \
	$(sx_cluster_sources)
libsxapi_la_LIBADD = $(FCGI_LIBS)

if HAVE_CMOCKA
sx_api_tests = tests/unit/test_api tests/unit/test_cluster_plan tests/unit/test_space tests/unit/test_cache
check_PROGRAMS += $(sx_api_tests)
TESTS += $(sx_api_tests)
tests_unit_test_api_SOURCES = tests/unit/test_api.c
tests_unit_test_api_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_api_LDADD = $(sx_daemon_libs) $(CMOCKA_LIBS)
tests_unit_test_space_SOURCES = tests/unit/test_space.c tests/unit/space_util.h tests/unit/store_util.h \
	tests/unit/sm_util.c tests/unit/sm_util.h
tests_unit_test_space_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_space_LDADD = libsxjobman.la libsxapi.la libsxmovers.la libsxstore.la libsxmeta.la \
	libsxsm.la libsxconf.la libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_cache_SOURCES = tests/unit/test_cache.c
tests_unit_test_cache_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_cache_LDADD = libsxapi.la libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_cluster_plan_SOURCES = tests/unit/test_cluster_plan.c
tests_unit_test_cluster_plan_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_cluster_plan_LDADD = libsxapi.la libsxcore.la $(CMOCKA_LIBS)
endif
