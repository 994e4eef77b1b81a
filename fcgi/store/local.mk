# SPDX-License-Identifier: GPL-2.0-or-later
# The block store of a node: packs and their index.
noinst_HEADERS += fcgi/store/store.h
