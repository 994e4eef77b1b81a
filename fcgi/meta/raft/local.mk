# SPDX-License-Identifier: GPL-2.0-or-later
# Consensus: a pure machine around libraft, the write-ahead log, vote and snapshot reference.
noinst_HEADERS += fcgi/meta/raft/entry.h fcgi/meta/raft/members.h fcgi/meta/raft/snapref.h \
	fcgi/meta/raft/group.h fcgi/meta/raft/wal.h fcgi/meta/raft/vote.h
