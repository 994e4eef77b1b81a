# SPDX-License-Identifier: GPL-2.0-or-later
# What the administrator of a node uses.
sbin_PROGRAMS += sxserver
sxserver_SOURCES = tools/sxserver.c
sxserver_LDADD = libsxhttpd.la

EXTRA_DIST += tools/install-deps
