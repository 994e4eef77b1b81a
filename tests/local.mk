# SPDX-License-Identifier: GPL-2.0-or-later
# Unit tests (tests/unit/test_*.c) are named in the local.mk of the folder they test; this file
# names what tests the whole.
