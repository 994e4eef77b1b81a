# SPDX-License-Identifier: GPL-2.0-or-later
# sx.fcgi: the dispatcher; what it forks is in libraries, so that tests reach it too.
libexec_sx_PROGRAMS += sx.fcgi
sx_fcgi_SOURCES = fcgi/main.c \
	fcgi/serve.h fcgi/serve.c \
	fcgi/dispatch.h fcgi/dispatch.c \
	fcgi/start.h fcgi/start.c \
	fcgi/title.h fcgi/title.c
# In the order of their need: each is used by those before it.
sx_daemon_libs = libsxgate.la libsxapi.la libsxs3.la libsxjobman.la libsxmovers.la libsxstore.la libsxmeta.la libsxraft.la libsxsm.la \
	libsxconf.la libsxcore.la $(FCGI_LIBS) $(SQLITE_LIBS)
sx_fcgi_LDADD = $(sx_daemon_libs)
