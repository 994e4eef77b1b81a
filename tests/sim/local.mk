# SPDX-License-Identifier: GPL-2.0-or-later
# The simulator of consensus groups: random runs, planted bugs, named cases.
sx_sim_world = tests/sim/sim.h tests/sim/sim.c tests/sim/node.c tests/sim/check.c \
	tests/sim/nemesis.c tests/sim/memio.h tests/sim/memio.c

check_PROGRAMS += tests/sim/sim tests/sim/bugs
TESTS += tests/sim/sim tests/sim/bugs
tests_sim_sim_SOURCES = tests/sim/main.c $(sx_sim_world)
tests_sim_sim_LDADD = libsxraft.la
tests_sim_bugs_SOURCES = tests/sim/bugs.c $(sx_sim_world)
tests_sim_bugs_LDADD = libsxraft.la

if HAVE_CMOCKA
check_PROGRAMS += tests/sim/guards
TESTS += tests/sim/guards
tests_sim_guards_SOURCES = tests/sim/guards.c tests/sim/rig.h tests/sim/rig.c $(sx_sim_world)
tests_sim_guards_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_sim_guards_LDADD = libsxraft.la $(CMOCKA_LIBS)
endif
