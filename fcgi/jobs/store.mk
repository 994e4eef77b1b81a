# SPDX-License-Identifier: GPL-2.0-or-later
# The garbage collector, the block transfer manager and its queue.
noinst_HEADERS += fcgi/jobs/collector.h fcgi/jobs/transfer.h fcgi/jobs/queue.h
