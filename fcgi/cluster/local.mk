# SPDX-License-Identifier: GPL-2.0-or-later
# Blocks over several nodes; part of the workers' library (fcgi/api/local.mk).
sx_cluster_sources = \
	fcgi/cluster/plan.h fcgi/cluster/plan.c \
	fcgi/cluster/peers.h fcgi/cluster/peers.c \
	fcgi/cluster/flight.h fcgi/cluster/flight.c \
	fcgi/cluster/blocks.h fcgi/cluster/blocks.c
