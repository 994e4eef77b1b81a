# SPDX-License-Identifier: GPL-2.0-or-later
# Consensus: a pure machine around libraft, the write-ahead log, vote and snapshot reference.
noinst_LTLIBRARIES += libsxraft.la
libsxraft_la_SOURCES = fcgi/meta/raft/entry.h \
	fcgi/meta/raft/members.h fcgi/meta/raft/members.c \
	fcgi/meta/raft/snapref.h fcgi/meta/raft/snapref.c \
	fcgi/meta/raft/vote.h fcgi/meta/raft/vote.c \
	fcgi/meta/raft/rlog.h fcgi/meta/raft/rlog.c \
	fcgi/meta/raft/message.h fcgi/meta/raft/message.c \
	fcgi/meta/raft/wal.h fcgi/meta/raft/wal_int.h fcgi/meta/raft/wal.c \
	fcgi/meta/raft/wal_open.c fcgi/meta/raft/wal_record.c \
	fcgi/meta/raft/group.h fcgi/meta/raft/group_int.h fcgi/meta/raft/group.c \
	fcgi/meta/raft/group_core.c fcgi/meta/raft/group_send.c fcgi/meta/raft/group_recv.c \
	fcgi/meta/raft/group_read.c fcgi/meta/raft/group_change.c fcgi/meta/raft/group_snap.c
libsxraft_la_CFLAGS = $(AM_CFLAGS) $(RAFT_CFLAGS)
libsxraft_la_LIBADD = libsxcore.la $(RAFT_LIBS) -lpthread

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_wal tests/unit/test_vote tests/unit/test_raft_message
TESTS += tests/unit/test_wal tests/unit/test_vote tests/unit/test_raft_message
tests_unit_test_wal_SOURCES = tests/unit/test_wal.c tests/sim/memio.h tests/sim/memio.c
tests_unit_test_wal_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_wal_LDADD = libsxraft.la $(CMOCKA_LIBS)
tests_unit_test_vote_SOURCES = tests/unit/test_vote.c tests/sim/memio.h tests/sim/memio.c
tests_unit_test_vote_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_vote_LDADD = libsxraft.la $(CMOCKA_LIBS)
tests_unit_test_raft_message_SOURCES = tests/unit/test_raft_message.c tests/sim/memio.h
tests_unit_test_raft_message_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_raft_message_LDADD = libsxraft.la $(CMOCKA_LIBS)
endif

check_PROGRAMS += tests/fuzz/fuzz_consensus tests/fuzz/fuzz_wal
TESTS += tests/fuzz/fuzz_consensus tests/fuzz/fuzz_wal
tests_fuzz_fuzz_consensus_SOURCES = tests/fuzz/fuzz_consensus.c tests/fuzz/driver.c \
	tests/fuzz/fuzz.h tests/sim/rig.h tests/sim/rig.c
tests_fuzz_fuzz_consensus_LDADD = libsxraft.la
tests_fuzz_fuzz_wal_SOURCES = tests/fuzz/fuzz_wal.c tests/fuzz/driver.c tests/fuzz/fuzz.h \
	tests/sim/memio.h tests/sim/memio.c
tests_fuzz_fuzz_wal_LDADD = libsxraft.la
