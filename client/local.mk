# SPDX-License-Identifier: GPL-2.0-or-later
# The commands.  Each is linked with the shared client library and with a frame of their own.
noinst_LTLIBRARIES += libcli.la
libcli_la_SOURCES = client/cli.h client/cli.c client/ask.c client/show.h client/show.c client/bar.h client/bar.c
libcli_la_LIBADD = libsxcore.la

sx_commands_LDADD = libcli.la libsx.la
bin_PROGRAMS += sxinit sxcp sxls sxcat sxrm sxmv sxvol sxacl
sxinit_SOURCES = client/sxinit.c
sxinit_LDADD = $(sx_commands_LDADD)
sxcp_SOURCES = client/sxcp.c
sxcp_LDADD = $(sx_commands_LDADD)
sxcat_SOURCES = client/sxcat.c
sxcat_LDADD = $(sx_commands_LDADD)
sxls_SOURCES = client/sxls.c
sxls_LDADD = $(sx_commands_LDADD)
sxrm_SOURCES = client/sxrm.c
sxrm_LDADD = $(sx_commands_LDADD)
sxmv_SOURCES = client/sxmv.c
sxmv_LDADD = $(sx_commands_LDADD)
sxvol_SOURCES = client/sxvol.c
sxvol_LDADD = $(sx_commands_LDADD)
sxacl_SOURCES = client/sxacl.c
sxacl_LDADD = $(sx_commands_LDADD)

dist_man_MANS += docs/man/sxinit.1 docs/man/sxcp.1 docs/man/sxls.1 docs/man/sxcat.1 \
	docs/man/sxrm.1 docs/man/sxmv.1 docs/man/sxvol.1 docs/man/sxacl.1
EXTRA_DIST += client/README.md

sx_client_checks = tests/cluster/test_client.sh tests/cluster/test_leases.py tests/style/symbols.py
dist_check_SCRIPTS += $(sx_client_checks)
TESTS += $(sx_client_checks)
