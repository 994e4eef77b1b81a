# SPDX-License-Identifier: LGPL-2.1-or-later
# libsx: what clients and daemon share.  libsxcore is the internal part, without a client in it.
noinst_LTLIBRARIES += libsxcore.la
libsxcore_la_SOURCES = \
	libsx/base/err.def libsx/base/err.h libsx/base/err.c \
	libsx/base/log.h libsx/base/log.c \
	libsx/base/mem.h libsx/base/mem.c \
	libsx/base/buf.h libsx/base/buf.c \
	libsx/base/wire.h libsx/base/clock.h \
	libsx/base/text.h libsx/base/text.c libsx/base/date.h libsx/base/date.c \
	libsx/base/json.h libsx/base/json.c \
	libsx/io/io.h libsx/io/io.c libsx/io/stack.h libsx/io/stack.c libsx/io/fault.h libsx/io/fault.c \
	libsx/io/memory.h libsx/io/memory.c \
	libsx/crypt/crypt.h libsx/crypt/crypt.c \
	libsx/crypt/context.h libsx/crypt/context.c \
	libsx/codec/id.h libsx/codec/block.h libsx/codec/block.c \
	libsx/codec/compress.h libsx/codec/compress.c \
	libsx/codec/record.h libsx/codec/record.c libsx/codec/facts.h libsx/codec/facts.c \
	libsx/codec/chunk.h libsx/codec/chunk.c \
	libsx/place/place.h libsx/place/place.c \
	libsx/auth/sig.h libsx/auth/sig.c libsx/auth/sigcheck.c libsx/auth/canon.h libsx/auth/canon.c \
	libsx/auth/sigv4.h libsx/auth/sigv4_int.h libsx/auth/sigv4.c \
	libsx/auth/sigv2.h libsx/auth/sigv2.c libsx/auth/sigkey.h libsx/auth/sigkey.c \
	libsx/http/http.h libsx/http/http.c \
	libsx/http/transfer.h libsx/http/transfer.c libsx/http/failure.h libsx/http/failure.c \
	libsx/http/limit.h libsx/http/limit.c \
	libsx/http/message.h libsx/http/message.c
libsxcore_la_LIBADD = $(CRYPTO_LIBS) $(CURL_LIBS) $(JANSSON_LIBS) $(ZSTD_LIBS) $(LZ4_LIBS) \
	$(ZLIB_LIBS) $(ISAL_LIBS) -lpthread -lm

if HAVE_CMOCKA
sx_core_tests = tests/unit/test_crypt tests/unit/test_codec tests/unit/test_chunk \
	tests/unit/test_http tests/unit/test_sigv4 tests/unit/test_sig tests/unit/test_place \
	tests/unit/test_base tests/unit/test_io tests/unit/test_io_stack
check_PROGRAMS += $(sx_core_tests)
TESTS += $(sx_core_tests)
tests_unit_test_crypt_SOURCES = tests/unit/test_crypt.c tests/unit/unit.h
tests_unit_test_crypt_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_crypt_LDADD = libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_codec_SOURCES = tests/unit/test_codec.c
tests_unit_test_codec_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_codec_LDADD = libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_chunk_SOURCES = tests/unit/test_chunk.c
tests_unit_test_chunk_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_chunk_LDADD = libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_http_SOURCES = tests/unit/test_http.c tests/unit/tls_server.h tests/unit/tls_server.c
tests_unit_test_http_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(SSL_CFLAGS)
tests_unit_test_http_LDADD = libsxcore.la $(CMOCKA_LIBS) $(SSL_LIBS)
tests_unit_test_sigv4_SOURCES = tests/unit/test_sigv4.c
tests_unit_test_sigv4_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_sigv4_LDADD = libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_sig_SOURCES = tests/unit/test_sig.c
tests_unit_test_sig_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_sig_LDADD = libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_place_SOURCES = tests/unit/test_place.c
tests_unit_test_place_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_place_LDADD = libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_base_SOURCES = tests/unit/test_base.c
tests_unit_test_base_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_base_LDADD = libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_io_stack_SOURCES = tests/unit/test_io_stack.c
tests_unit_test_io_stack_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_io_stack_LDADD = libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_io_SOURCES = tests/unit/test_io.c
tests_unit_test_io_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_io_LDADD = libsxcore.la $(CMOCKA_LIBS)
endif

noinst_PROGRAMS += tests/bench/bench_codec
tests_bench_bench_codec_SOURCES = tests/bench/bench_codec.c
tests_bench_bench_codec_LDADD = libsxcore.la
noinst_PROGRAMS += tests/bench/bench_chunks
tests_bench_bench_chunks_SOURCES = tests/bench/bench_chunks.c
tests_bench_bench_chunks_LDADD = libsxcore.la
noinst_PROGRAMS += tests/bench/s3load
tests_bench_s3load_SOURCES = tests/bench/s3load.c
tests_bench_s3load_LDADD = libsxcore.la

# Fuzz targets with the driver that makes the same inputs each time.
sx_fuzz_tests = tests/fuzz/fuzz_record tests/fuzz/fuzz_block tests/fuzz/fuzz_compress \
	tests/fuzz/fuzz_message tests/fuzz/fuzz_sigv4 tests/fuzz/fuzz_text
check_PROGRAMS += $(sx_fuzz_tests)
TESTS += $(sx_fuzz_tests)
EXTRA_DIST += tests/fuzz/run-libfuzzer
tests_fuzz_fuzz_record_SOURCES = tests/fuzz/fuzz_record.c tests/fuzz/driver.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_record_LDADD = libsxcore.la
tests_fuzz_fuzz_block_SOURCES = tests/fuzz/fuzz_block.c tests/fuzz/driver.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_block_LDADD = libsxcore.la
tests_fuzz_fuzz_compress_SOURCES = tests/fuzz/fuzz_compress.c tests/fuzz/driver.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_compress_LDADD = libsxcore.la
tests_fuzz_fuzz_message_SOURCES = tests/fuzz/fuzz_message.c tests/fuzz/driver.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_message_LDADD = libsxcore.la
tests_fuzz_fuzz_sigv4_SOURCES = tests/fuzz/fuzz_sigv4.c tests/fuzz/driver.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_sigv4_LDADD = libsxcore.la
tests_fuzz_fuzz_text_SOURCES = tests/fuzz/fuzz_text.c tests/fuzz/driver.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_text_LDADD = libsxcore.la
