# SPDX-License-Identifier: LGPL-2.1-or-later
# The client library.  libsxclient is all of it with every symbol, for unit tests; libsx.la is what is
# installed and shows only the names of libsx.sym.
noinst_LTLIBRARIES += libsxclient.la
libsxclient_la_SOURCES = \
	libsx/client/sx.h libsx/client/internal.h libsx/client/call.h libsx/client/ops.h \
	libsx/client/list.h \
	libsx/client/name.c libsx/client/uri.c libsx/client/config.c libsx/client/access.c \
	libsx/client/trust.c libsx/client/cluster.c libsx/client/call.c \
	libsx/client/volume.c libsx/client/user.c libsx/client/file.c libsx/client/list.c libsx/client/page.c \
	libsx/client/work.h libsx/client/work.c libsx/client/xfer.h libsx/client/xfer.c \
	libsx/client/filter.c libsx/client/up.h libsx/client/source.h libsx/client/source.c \
	libsx/client/walk.c libsx/client/compare.c libsx/client/notes.c libsx/client/up.c libsx/client/up_ask.c \
	libsx/client/up_group.c libsx/client/up_whole.c libsx/client/up_put.c libsx/client/up_stream.c libsx/client/up_commit.c \
	libsx/client/down.h libsx/client/down.c libsx/client/down_file.c \
	libsx/client/down_get.c libsx/client/down_group.c libsx/client/down_target.c \
	libsx/client/copy.h libsx/client/copy.c libsx/client/remote.c
libsxclient_la_LIBADD = libsxcore.la

lib_LTLIBRARIES += libsx.la
include_HEADERS += libsx/client/sx.h
EXTRA_DIST += libsx/client/libsx.sym libsx/client/README.md
libsx_la_SOURCES =
libsx_la_LIBADD = libsxclient.la
libsx_la_LDFLAGS = $(AM_LDFLAGS) -version-info 0:0:0 -export-symbols $(srcdir)/libsx/client/libsx.sym \
	-no-undefined
libsx_la_DEPENDENCIES = libsxclient.la libsx/client/libsx.sym

check_PROGRAMS += tests/fuzz/fuzz_page
TESTS += tests/fuzz/fuzz_page
tests_fuzz_fuzz_page_SOURCES = tests/fuzz/fuzz_page.c tests/fuzz/driver.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_page_LDADD = libsxclient.la

if HAVE_CMOCKA
sx_client_tests = tests/unit/test_client_names tests/unit/test_client_config \
	tests/unit/test_client_call
check_PROGRAMS += $(sx_client_tests)
TESTS += $(sx_client_tests)
tests_unit_test_client_names_SOURCES = tests/unit/test_client_names.c client/bar.h client/bar.c
tests_unit_test_client_names_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_client_names_LDADD = libsxclient.la $(CMOCKA_LIBS)
tests_unit_test_client_config_SOURCES = tests/unit/test_client_config.c
tests_unit_test_client_config_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_client_config_LDADD = libsxclient.la $(CMOCKA_LIBS)
tests_unit_test_client_call_SOURCES = tests/unit/test_client_call.c tests/unit/unit.h \
	tests/unit/tls_server.h tests/unit/tls_server.c
tests_unit_test_client_call_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(SSL_CFLAGS)
tests_unit_test_client_call_LDADD = libsxclient.la $(CMOCKA_LIBS) $(SSL_LIBS)
endif
