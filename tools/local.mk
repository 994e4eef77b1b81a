# SPDX-License-Identifier: GPL-2.0-or-later
# What the administrator of a node uses.
sbin_PROGRAMS += sxserver
sxserver_SOURCES = tools/sxserver.c
sxserver_LDADD = libsxhttpd.la

EXTRA_DIST += tools/install-deps

sbin_PROGRAMS += sxadm
sxadm_SOURCES = tools/sxadm.c tools/sxadm.h tools/sxadm_cluster.c tools/sxadm_node.c
sxadm_LDADD = libcli.la libsxclient.la libsxstore.la libsxconf.la
