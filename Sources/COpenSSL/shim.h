#pragma once
// SHA-256 itself (sha.h) is called as a function: see HMACSHA256.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/hmac.h>
