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
	fcgi/meta/manager/links.h fcgi/meta/manager/links.c \
	fcgi/meta/manager/local.h fcgi/meta/manager/local.c \
	fcgi/meta/manager/apply.h fcgi/meta/manager/apply.c \
	fcgi/meta/manager/drive.h fcgi/meta/manager/drive.c \
	fcgi/meta/manager/copy.h fcgi/meta/manager/copy.c \
	fcgi/meta/manager/submits.h fcgi/meta/manager/submits.c \
	fcgi/meta/manager/reads.h fcgi/meta/manager/reads.c \
	fcgi/meta/manager/roster.h fcgi/meta/manager/roster.c \
	fcgi/meta/manager/status.h fcgi/meta/manager/status.c
libsxmeta_la_LIBADD = libsxconf.la $(SSL_LIBS) $(SQLITE_LIBS)
