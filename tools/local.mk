# SPDX-License-Identifier: GPL-2.0-or-later
# What the administrator of a node uses.
sbin_PROGRAMS += sxserver
sxserver_SOURCES = tools/sxserver.c
sxserver_LDADD = libsxhttpd.la

EXTRA_DIST += tools/install-deps

sbin_PROGRAMS += sxsetup
sxsetup_SOURCES = tools/sxsetup.c tools/setup.h tools/setup_node.c tools/setup_create.c tools/setup_join.c
sxsetup_LDADD = libsxhttpd.la libsxsm.la

sbin_PROGRAMS += sxadm
sxadm_SOURCES = tools/sxadm.c tools/sxadm.h tools/sxadm_cluster.c tools/sxadm_df.c tools/sxadm_node.c \
	tools/node.h tools/node.c tools/judge.h tools/judge.c tools/sxadm_check.c tools/sxadm_scrub.c tools/sxadm_verify.c tools/sxadm_device.c
sxadm_LDADD = libcli.la libsxclient.la libsxstore.la libsxsm.la libsxconf.la

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_ca
TESTS += tests/unit/test_ca
tests_unit_test_ca_SOURCES = tests/unit/test_ca.c
tests_unit_test_ca_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_ca_LDADD = libsxconf.la libsxcore.la $(CMOCKA_LIBS)
endif
