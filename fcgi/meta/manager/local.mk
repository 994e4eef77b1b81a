# SPDX-License-Identifier: GPL-2.0-or-later
# The group manager, its client, and the node's settings that both read.
noinst_LTLIBRARIES += libsxconf.la libsxmeta.la
libsxconf_la_SOURCES = fcgi/conf.h fcgi/conf.c
libsxconf_la_LIBADD = libsxcore.la

# Client and manager.
libsxmeta_la_SOURCES = fcgi/meta/meta.h \
	fcgi/meta/manager/manager.h \
	fcgi/meta/manager/loop.h fcgi/meta/manager/loop.c \
	fcgi/meta/manager/exec.h fcgi/meta/manager/exec.c \
	fcgi/meta/manager/frame.h fcgi/meta/manager/frame.c \
	fcgi/meta/manager/tls.h fcgi/meta/manager/tls.c \
	fcgi/meta/manager/conn.h fcgi/meta/manager/conn.c \
	fcgi/meta/manager/links.h fcgi/meta/manager/links.c \
	fcgi/meta/manager/local.h fcgi/meta/manager/local.c
libsxmeta_la_LIBADD = libsxconf.la $(SSL_LIBS) $(SQLITE_LIBS)
