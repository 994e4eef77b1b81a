# SPDX-License-Identifier: GPL-2.0-or-later
# The job manager, and the census of space.
noinst_LTLIBRARIES += libsxjobman.la
libsxjobman_la_SOURCES = fcgi/jobs/jobs.h fcgi/jobs/jobs.c \
	fcgi/jobs/lifecycle.h fcgi/jobs/lifecycle.c \
	fcgi/jobs/count.h fcgi/jobs/count.c fcgi/jobs/census.h fcgi/jobs/census.c \
	fcgi/jobs/holders.h fcgi/jobs/holders.c fcgi/jobs/space.h fcgi/jobs/space.c
