# SPDX-License-Identifier: GPL-2.0-or-later
# The web server of a node: its configuration, and the supervisor that runs it beside the daemon.
dist_pkgdata_DATA += sxhttpd/nginx.conf.in
noinst_LTLIBRARIES += libsxhttpd.la
libsxhttpd_la_SOURCES = \
	sxhttpd/render.h sxhttpd/render.c \
	sxhttpd/proc.h sxhttpd/proc.c \
	sxhttpd/ping.h sxhttpd/ping.c \
	sxhttpd/supervise.h sxhttpd/supervise.c
libsxhttpd_la_LIBADD = libsxconf.la libsxcore.la $(CURL_LIBS)
EXTRA_DIST += sxhttpd/README.md

EXTRA_DIST += sxhttpd/sx.service.in
if HAVE_SYSTEMD
systemdsystemunit_DATA = sxhttpd/sx.service
CLEANFILES += sxhttpd/sx.service
sxhttpd/sx.service: $(srcdir)/sxhttpd/sx.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) sxhttpd && \
	$(SED) -e 's|@sbindir[@]|$(sbindir)|g' $(srcdir)/sxhttpd/sx.service.in >$@.tmp && mv $@.tmp $@
endif
