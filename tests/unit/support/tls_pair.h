/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tls_pair.h: test certificates (made once per process) and two TLS sessions that talk through memory, for the tests of
 * everything that speaks TLS. Programmer errors and lack of memory abort.
 */
#pragma once

#include "core/tls.h"
#include "core/x509.h"

/* A small PKI in PEM: a root, a server leaf for "localhost", "gw.example.org" and 127.0.0.1, a client leaf "device-7". */
struct tls_pki {
	struct x509_pair root, server, client;
	struct buf root_pem, server_pem, server_key_pem, client_pem, client_key_pem;
	struct buf other_root_pem; /* another root, that issued other_pem */
	struct buf other_pem, other_key_pem;
};

/* tls_pki_get: made at the first call (seconds); one thread. Not to be freed. */
const struct tls_pki *tls_pki_get(void);

/* tls_ctx_made: tls_ctx_new, which must not fail; says why if it does. */
struct tls_ctx *tls_ctx_made(const struct tls_ctx_opts *o);

/* One direction: ciphertext on its way. */
struct tls_wire {
	struct buf bytes;
	size_t step; /* at most so many octets are delivered per tls_input; 0: as many as fit */
	uint8_t piece[4096]; /* what tls_input has borrowed */
};

struct tls_pair {
	struct tls *client, *server;
	struct tls_wire to_server, to_client;
	int client_result, server_result; /* of the handshake */
};

/* tls_pair_init: both sessions, not yet shaken hands. tls_pair_free frees what is left of it. */
void tls_pair_init(struct tls_pair *p, struct tls_ctx *client, struct tls_ctx *server,
                   const char *server_name);
void tls_pair_free(struct tls_pair *p);

/* tls_pair_handshake: until both are established or one has failed and the other has heard of it. True if both are. */
bool tls_pair_handshake(struct tls_pair *p);

/* tls_pair_send: writes data on one side and reads it on the other; appends what arrived to got. The reader's last result. */
int tls_pair_send(struct tls_pair *p, bool from_client, struct span data, struct buf *got);

/* tls_pair_drain: delivers what is on its way to one side and reads it; appends to got (NULL: dropped). The last result. */
int tls_pair_drain(struct tls_pair *p, bool at_client, struct buf *got);
