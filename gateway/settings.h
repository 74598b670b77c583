/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * settings.h: everything that causewayd's configuration file can say. Loaded at start and at reload; read-only afterwards, so any
 * thread may read it while its owner keeps it.
 */
#pragma once

#include "core/conf.h"
#include "core/log.h"
#include "core/tls.h"

#define SETTINGS_LISTENERS_MAX 64

/* An entry of cira.listeners. */
struct settings_listener {
	struct addr address;
	unsigned profile; /* enum tls_profile: TLS_MODERN or TLS_LEGACY */
	struct conf_cidrs proxy_from;
};

struct settings_cira {
	struct conf_addrs listen;
	struct conf_items listeners; /* of struct settings_listener; see settings_listeners */
	char *name;                  /* after settings_load never "" */
	char *cert, *key, *chain;    /* files; "" our own certificate */
	char *client_ca;             /* file; "" no client certificates */
	unsigned profile;            /* enum tls_profile */
	uint64_t keepalive_ms;
	uint64_t max_tunnels;
	uint64_t max_handshakes; /* at the same time, in the whole process */
	uint64_t auth_timeout_ms;
	struct conf_cidrs proxy_from;
};

struct settings_api {
	struct conf_addrs listen;
	struct conf_strs names;
	char *cert, *key, *client_ca;
	/* Subject CNs of client certificates and the role they have; others have none. */
	struct conf_strs cert_administrators, cert_operators, cert_viewers;
	uint64_t max_connections;
	uint64_t max_message_size;
};

struct settings {
	struct settings_cira cira;
	struct settings_api api;
	struct addr metrics_listen; /* len 0: off */
	unsigned log_level;         /* enum log_level */
	unsigned log_format;        /* enum log_format */
	uint64_t workers;           /* 0: one for each core */
	uint64_t handshake_threads; /* the same */
	bool real_time;
	uint64_t store_map_size;
	char *store_key_file; /* "": DIR/seal.key */
	uint64_t drain_timeout_ms;
};

extern const struct conf_schema settings_schema;

/*
 * settings_load: reads the file (NULL: the defaults alone), checks what single keys cannot (a certificate without its key and the
 * like), and fills cira.name with the host name if it is empty. 0 or negative, with lines in errors and out zeroed.
 */
int settings_load(const char *path, struct settings *out, struct buf *errors) MUST_CHECK;
/* settings_load_text: the same from memory. */
int settings_load_text(struct span text, const char *name, struct settings *out,
                       struct buf *errors) MUST_CHECK;
void settings_free(struct settings *s);

/*
 * settings_listeners: all CIRA listeners in one form: those of cira.listen (with cira.profile and cira.proxy_from; its default
 * only if cira.listeners is empty), then those of cira.listeners. Borrowed from s. Returns how many were written to out.
 */
size_t settings_listeners(const struct settings *s, struct settings_listener *out, size_t max);
