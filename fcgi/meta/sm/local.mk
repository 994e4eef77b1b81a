# SPDX-License-Identifier: GPL-2.0-or-later
# The state machine, its commands and the queries over its database.
noinst_HEADERS += fcgi/meta/command.h fcgi/meta/query.h fcgi/meta/sm/sm.h
