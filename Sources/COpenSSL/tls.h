#pragma once
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

// Functions for macros of OpenSSL, which Swift does not see.

static inline void parley_bio_retry_read(BIO *bio) { BIO_set_retry_read(bio); }
static inline void parley_bio_clear_retry(BIO *bio) { BIO_clear_retry_flags(bio); }

static inline int parley_ctx_set_versions(SSL_CTX *context, int least, int most) {
  return SSL_CTX_set_min_proto_version(context, least) && SSL_CTX_set_max_proto_version(context, most);
}
static inline int parley_ctx_set_groups(SSL_CTX *context, const char *groups) {
  return (int)SSL_CTX_set1_groups_list(context, groups);
}
static inline int parley_ctx_set_signatures(SSL_CTX *context, const char *algorithms) {
  return (int)SSL_CTX_set1_sigalgs_list(context, algorithms);
}
static inline void parley_ctx_restrict(SSL_CTX *context) {
  SSL_CTX_set_options(
    context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  // An idle connection holds no buffers.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}
static inline int parley_ctx_add_chain(SSL_CTX *context, X509 *certificate) {
  return (int)SSL_CTX_add1_chain_cert(context, certificate);
}
static inline int parley_add_chain(SSL *ssl, X509 *certificate) {
  return (int)SSL_add1_chain_cert(ssl, certificate);
}
static inline void parley_ctx_on_name(SSL_CTX *context, int (*callback)(SSL *, int *, void *), void *argument) {
  SSL_CTX_set_tlsext_servername_callback(context, callback);
  SSL_CTX_set_tlsext_servername_arg(context, argument);
}
static inline int parley_set_name(SSL *ssl, const char *name) { return (int)SSL_set_tlsext_host_name(ssl, name); }

static inline EVP_PKEY *parley_make_p256(void) { return EVP_EC_gen("P-256"); }
static inline EVP_PKEY *parley_make_ed25519(void) { return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"); }

// OpenSSL 3 still has the whole-process random method, which it marks as deprecated.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdeprecated-declarations"
static inline int parley_set_random(int (*bytes)(unsigned char *, int), int (*status)(void)) {
  static RAND_METHOD method;
  method.bytes = bytes;
  method.pseudorand = bytes;
  method.status = status;
  return RAND_set_rand_method(&method);
}
static inline int parley_default_random(unsigned char *buffer, int count) {
  return RAND_OpenSSL()->bytes(buffer, count);
}
#pragma clang diagnostic pop
