# SPDX-License-Identifier: GPL-2.0-or-later
# The job manager.
noinst_LTLIBRARIES += libsxjobman.la
libsxjobman_la_SOURCES = fcgi/jobs/jobs.h fcgi/jobs/jobs.c
