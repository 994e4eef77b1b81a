# SPDX-License-Identifier: GPL-2.0-or-later
dist_man_MANS += docs/man/sxsetup.8 docs/man/sxserver.8 docs/man/sxadm.8 docs/man/sx.fcgi.8
