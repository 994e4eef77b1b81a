# SPDX-License-Identifier: GPL-2.0-or-later
# The simulator of consensus groups: random runs.
sx_sim_world = tests/sim/sim.h tests/sim/sim.c tests/sim/node.c tests/sim/check.c \
	tests/sim/nemesis.c tests/sim/memio.h tests/sim/memio.c

check_PROGRAMS += tests/sim/sim
TESTS += tests/sim/sim
tests_sim_sim_SOURCES = tests/sim/main.c $(sx_sim_world)
tests_sim_sim_LDADD = libsxraft.la
