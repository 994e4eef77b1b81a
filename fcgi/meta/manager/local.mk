# SPDX-License-Identifier: GPL-2.0-or-later
# The group manager, its client, and the node's settings that both read.
noinst_LTLIBRARIES += libsxconf.la
libsxconf_la_SOURCES = fcgi/conf.h fcgi/conf.c fcgi/keys.h fcgi/keys.c fcgi/ca.h fcgi/ca.c fcgi/meta/manager/manager.h
libsxconf_la_LIBADD = libsxcore.la
