# SPDX-License-Identifier: GPL-2.0-or-later
# The S3 gateway's protocol: pure functions of requests and bytes.
noinst_LTLIBRARIES += libsxs3.la
libsxs3_la_SOURCES = \
	fcgi/s3/s3err.def \
	fcgi/s3/s3err.h fcgi/s3/s3err.c \
	fcgi/s3/xml.h fcgi/s3/xml.c \
	fcgi/s3/xmlout.h fcgi/s3/xmlout.c \
	fcgi/s3/crc.h fcgi/s3/crc.c \
	fcgi/s3/checksum.h fcgi/s3/checksum.c \
	fcgi/s3/aside.h fcgi/s3/aside.c fcgi/s3/digest.h fcgi/s3/digest.c \
	fcgi/s3/chunked.h fcgi/s3/chunked.c \
	fcgi/s3/payload.h fcgi/s3/payload.c \
	fcgi/s3/ops.def fcgi/s3/target.h fcgi/s3/target.c fcgi/s3/query.c \
	fcgi/s3/cond.h fcgi/s3/cond.c fcgi/s3/customer.h fcgi/s3/customer.c \
	fcgi/s3/range.h fcgi/s3/range.c \
	fcgi/s3/postpolicy.h fcgi/s3/postpolicy.c \
	fcgi/s3/form.h fcgi/s3/form.c \
	fcgi/s3/shape.h fcgi/s3/shape.c fcgi/s3/tags.h fcgi/s3/tags.c \
	fcgi/s3/cors.h fcgi/s3/cors.c fcgi/s3/acl.h fcgi/s3/acl.c \
	fcgi/s3/lifecycle.h fcgi/s3/lifecycle.c fcgi/s3/documents.h fcgi/s3/documents.c \
	fcgi/s3/website.h fcgi/s3/website.c
libsxs3_la_LIBADD = $(JANSSON_LIBS) $(LIBXML_LIBS) $(ISAL_LIBS) $(CRYPTO_LIBS)
EXTRA_DIST += fcgi/s3/README.md

# The gateway itself: on the protocol, the workers' requests, metadata and blocks.
noinst_LTLIBRARIES += libsxgate.la
libsxgate_la_SOURCES = \
	fcgi/s3/gateway.h fcgi/s3/gateway.c fcgi/s3/s3.h fcgi/s3/handlers.h \
	fcgi/s3/request.c fcgi/s3/answer.c fcgi/s3/access.c fcgi/s3/metadata.c \
	fcgi/s3/policy.h fcgi/s3/policy.c fcgi/s3/condition.h fcgi/s3/condition.c \
	fcgi/s3/facts.h fcgi/s3/facts.c \
	fcgi/s3/ingest.h fcgi/s3/ingest.c fcgi/s3/blocklist.h fcgi/s3/blocklist.c fcgi/s3/egress.h fcgi/s3/egress.c \
	fcgi/s3/object.h fcgi/s3/object.c fcgi/s3/object_get.c fcgi/s3/object_delete.c \
	fcgi/s3/object_put.h fcgi/s3/object_put.c fcgi/s3/object_post.c \
	fcgi/s3/attributes.c fcgi/s3/lock.c fcgi/s3/copy.c fcgi/s3/list.c fcgi/s3/bucket.c \
	fcgi/s3/multipart.h fcgi/s3/multipart.c fcgi/s3/multipart_list.c \
	fcgi/s3/part_copy.c fcgi/s3/pump.h fcgi/s3/pump.c fcgi/s3/sums.c \
	fcgi/s3/config.h fcgi/s3/config.c fcgi/s3/bucket_policy.c fcgi/s3/preflight.c fcgi/s3/acls.c \
	fcgi/s3/annotate.h fcgi/s3/annotate.c fcgi/s3/tagging.c \
	fcgi/s3/site.h fcgi/s3/site.c
libsxgate_la_LIBADD = libsxs3.la $(FCGI_LIBS)

if HAVE_CMOCKA
sx_s3_tests = tests/unit/test_s3_checksum \
	tests/unit/test_s3_xml \
	tests/unit/test_s3_payload \
	tests/unit/test_s3_target \
	tests/unit/test_s3_aside tests/unit/test_s3_cond tests/unit/test_s3_customer \
	tests/unit/test_s3_form \
	tests/unit/test_s3_config \
	tests/unit/test_s3_website \
	tests/unit/test_s3_matrix \
	tests/unit/test_s3_facts tests/unit/test_s3_policy
check_PROGRAMS += $(sx_s3_tests)
TESTS += $(sx_s3_tests)
tests_unit_test_s3_checksum_SOURCES = tests/unit/test_s3_checksum.c
tests_unit_test_s3_checksum_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_s3_checksum_LDADD = libsxs3.la libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_s3_xml_SOURCES = tests/unit/test_s3_xml.c
tests_unit_test_s3_xml_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_s3_xml_LDADD = libsxs3.la libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_s3_payload_SOURCES = tests/unit/test_s3_payload.c
tests_unit_test_s3_payload_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_s3_payload_LDADD = libsxs3.la libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_s3_target_SOURCES = tests/unit/test_s3_target.c
tests_unit_test_s3_target_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_s3_target_LDADD = libsxs3.la libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_s3_aside_SOURCES = tests/unit/test_s3_aside.c
tests_unit_test_s3_aside_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_s3_aside_LDADD = libsxs3.la libsxcore.la $(CRYPTO_LIBS) $(CMOCKA_LIBS)
tests_unit_test_s3_cond_SOURCES = tests/unit/test_s3_cond.c
tests_unit_test_s3_cond_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_s3_cond_LDADD = libsxs3.la libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_s3_config_SOURCES = tests/unit/test_s3_config.c
tests_unit_test_s3_config_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_s3_config_LDADD = libsxs3.la libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_s3_website_SOURCES = tests/unit/test_s3_website.c
tests_unit_test_s3_website_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_s3_website_LDADD = libsxs3.la libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_s3_form_SOURCES = tests/unit/test_s3_form.c
tests_unit_test_s3_form_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_s3_form_LDADD = libsxs3.la libsxcore.la $(CMOCKA_LIBS)
tests_unit_test_s3_matrix_SOURCES = tests/unit/test_s3_matrix.c
tests_unit_test_s3_matrix_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_s3_matrix_LDADD = libsxs3.la libsxcore.la $(CRYPTO_LIBS) $(CMOCKA_LIBS)
tests_unit_test_s3_customer_SOURCES = tests/unit/test_s3_customer.c
tests_unit_test_s3_customer_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_s3_customer_LDADD = libsxs3.la libsxcore.la $(CRYPTO_LIBS) $(CMOCKA_LIBS)
tests_unit_test_s3_facts_SOURCES = tests/unit/test_s3_facts.c
tests_unit_test_s3_facts_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_s3_facts_LDADD = $(sx_daemon_libs) $(CMOCKA_LIBS)
tests_unit_test_s3_policy_SOURCES = tests/unit/test_s3_policy.c
tests_unit_test_s3_policy_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_s3_policy_LDADD = $(sx_daemon_libs) $(CMOCKA_LIBS)
endif

sx_s3_fuzz_tests = tests/fuzz/fuzz_s3_payload \
	tests/fuzz/fuzz_s3_sig \
	tests/fuzz/fuzz_s3_xml \
	tests/fuzz/fuzz_s3_target \
	tests/fuzz/fuzz_s3_form \
	tests/fuzz/fuzz_s3_policy
check_PROGRAMS += $(sx_s3_fuzz_tests)
TESTS += $(sx_s3_fuzz_tests)
tests_fuzz_fuzz_s3_payload_SOURCES = tests/fuzz/fuzz_s3_payload.c tests/fuzz/driver.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_s3_payload_LDADD = libsxs3.la libsxcore.la
tests_fuzz_fuzz_s3_sig_SOURCES = tests/fuzz/fuzz_s3_sig.c tests/fuzz/driver.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_s3_sig_LDADD = libsxs3.la libsxcore.la
tests_fuzz_fuzz_s3_xml_SOURCES = tests/fuzz/fuzz_s3_xml.c tests/fuzz/driver.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_s3_xml_LDADD = libsxs3.la libsxcore.la
tests_fuzz_fuzz_s3_target_SOURCES = tests/fuzz/fuzz_s3_target.c tests/fuzz/driver.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_s3_target_LDADD = libsxs3.la libsxcore.la
tests_fuzz_fuzz_s3_policy_SOURCES = tests/fuzz/fuzz_s3_policy.c tests/fuzz/driver.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_s3_policy_LDADD = libsxs3.la libsxcore.la
tests_fuzz_fuzz_s3_form_SOURCES = tests/fuzz/fuzz_s3_form.c tests/fuzz/driver.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_s3_form_LDADD = libsxs3.la libsxcore.la
