# SPDX-License-Identifier: GPL-2.0-or-later
# Consensus: a pure machine around libraft, the write-ahead log, vote and snapshot reference.
noinst_LTLIBRARIES += libsxraft.la
libsxraft_la_SOURCES = fcgi/meta/raft/entry.h \
	fcgi/meta/raft/members.h fcgi/meta/raft/members.c \
	fcgi/meta/raft/snapref.h fcgi/meta/raft/snapref.c \
	fcgi/meta/raft/vote.h fcgi/meta/raft/vote.c \
	fcgi/meta/raft/rlog.h fcgi/meta/raft/rlog.c \
	fcgi/meta/raft/message.h fcgi/meta/raft/message.c \
	fcgi/meta/raft/wal.h \
	fcgi/meta/raft/group.h fcgi/meta/raft/group_int.h fcgi/meta/raft/group.c \
	fcgi/meta/raft/group_core.c fcgi/meta/raft/group_send.c fcgi/meta/raft/group_recv.c \
	fcgi/meta/raft/group_read.c fcgi/meta/raft/group_change.c fcgi/meta/raft/group_snap.c
libsxraft_la_CFLAGS = $(AM_CFLAGS) $(RAFT_CFLAGS)
libsxraft_la_LIBADD = libsxcore.la $(RAFT_LIBS) -lpthread
