#pragma once
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

// Initializes HMAC-SHA-256 with a key. In C, since the parameters keep pointers to their names.
static inline int parley_hmac_sha256_init(EVP_MAC_CTX *context, const unsigned char *key, size_t length) {
  OSSL_PARAM parameters[] = {
    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0), OSSL_PARAM_construct_end()};
  return EVP_MAC_init(context, key ? key : (const unsigned char *)"", length, parameters);
}

// Returns a context for PBKDF2 with HMAC-SHA-256, or NULL. It keeps the algorithms, so that later
// keys need no look-up by name.
static inline EVP_KDF_CTX *parley_pbkdf2_sha256_new(void) {
  EVP_KDF *algorithm = EVP_KDF_fetch(NULL, "PBKDF2", NULL);
  EVP_KDF_CTX *context = EVP_KDF_CTX_new(algorithm);
  EVP_KDF_free(algorithm);
  // The limits of SP 800-132 refuse short salts and few rounds. Stored hashes may have both.
  int unlimited = 1;
  OSSL_PARAM parameters[] = {
    OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
    OSSL_PARAM_construct_int(OSSL_KDF_PARAM_PKCS5, &unlimited), OSSL_PARAM_construct_end()};
  if (context && EVP_KDF_CTX_set_params(context, parameters) == 1) return context;
  EVP_KDF_CTX_free(context);
  return NULL;
}

// Derives a key, and forgets the password.
static inline int parley_pbkdf2_sha256(
  EVP_KDF_CTX *context, const void *password, size_t password_length, const void *salt, size_t salt_length,
  unsigned rounds, unsigned char *key, size_t length) {
  OSSL_PARAM parameters[] = {
    OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, password ? (void *)password : (void *)"", password_length),
    OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, salt ? (void *)salt : (void *)"", salt_length),
    OSSL_PARAM_construct_uint(OSSL_KDF_PARAM_ITER, &rounds), OSSL_PARAM_construct_end()};
  OSSL_PARAM nothing[] = {
    OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, (void *)"", 0), OSSL_PARAM_construct_end()};
  int derived = EVP_KDF_derive(context, key, length, parameters);
  return derived == 1 && EVP_KDF_CTX_set_params(context, nothing) == 1;
}
