# SPDX-License-Identifier: LGPL-2.1-or-later
# libsx: what clients and daemon share.  libsxcore is the internal part, without a client in it.
noinst_LTLIBRARIES += libsxcore.la
libsxcore_la_SOURCES = \
	libsx/base/err.def libsx/base/err.h libsx/base/err.c \
	libsx/base/log.h libsx/base/log.c \
	libsx/base/mem.h libsx/base/mem.c \
	libsx/base/buf.h libsx/base/buf.c \
	libsx/base/wire.h libsx/base/clock.h \
	libsx/base/text.h libsx/base/text.c \
	libsx/base/json.h libsx/base/json.c \
	libsx/io/io.h libsx/io/io.c
libsxcore_la_LIBADD = $(CRYPTO_LIBS) $(CURL_LIBS) $(JANSSON_LIBS) $(ZSTD_LIBS) $(LZ4_LIBS) \
	$(ZLIB_LIBS) $(ISAL_LIBS) -lpthread -lm
