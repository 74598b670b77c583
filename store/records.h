/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * records.h: the records of the store as plain structs, strings NUL-terminated. Times are Unix milliseconds, 0 unset.
 * `extra` holds the keys of the record that this version does not know, as a packed msgpack map body; copy it along.
 */
#pragma once

#include "core/text.h"

enum store_table {
	STORE_GROUPS,
	STORE_DEVICES,
	STORE_TOKENS,
	STORE_AUDIT,
	STORE_OPERATIONS,
	STORE_REQUESTS,
	STORE_SETTINGS,
	STORE_TABLE_COUNT
};

#define NAME_MAX_LEN     64  /* group and device names */
#define SECRET_MAX_LEN   128 /* passwords */
#define LABELS_MAX       32
#define LABEL_KEY_MAX    63
#define LABEL_VALUE_MAX  255
#define TOKEN_GROUPS_MAX 32
#define TOKEN_SCOPES_MAX 16
#define EXTRA_MAX        1024

struct record_extra {
	uint16_t len;
	uint16_t count;
	bool cut; /* there were more unknown keys than fit: the record can be read but not rewritten (-ERR_TOO_BIG) */
	uint8_t bytes[EXTRA_MAX];
};

struct label {
	char key[LABEL_KEY_MAX + 1];
	char value[LABEL_VALUE_MAX + 1];
};

struct credential {
	char user[NAME_MAX_LEN + 1];       /* "": none */
	char password[SECRET_MAX_LEN + 1]; /* sealed in the file */
};

enum enroll_policy { ENROLL_ACCEPT = 1, ENROLL_HOLD = 2, ENROLL_REJECT = 3 };

/* A group: who may enrol, and what its devices share. Key: name. */
struct store_group {
	char name[NAME_MAX_LEN + 1];
	struct credential cira; /* enrolment user and password; the user is unique among groups */
	struct credential amt;  /* the devices' default AMT account */
	enum enroll_policy enroll;
	uint64_t created_ms, updated_ms;
	struct record_extra extra;
};

/*
 * What tells devices apart. instance is 0 for the first device with a GUID; another one that proved itself with other credentials gets
 * the next number (GUIDs repeat in the field, apf.md 3.1). Text: the GUID, or GUID#instance when instance > 0.
 */
struct device_key {
	struct guid guid;
	uint16_t instance;
};
#define DEVICE_KEY_TEXT_MAX (GUID_TEXT_LEN + 8)

enum device_state { DEVICE_APPROVED = 1, DEVICE_HELD = 2 };

/* A device. Key: guid and instance (18 octets, instance big-endian). */
struct store_device {
	struct device_key key;
	char name[NAME_MAX_LEN + 1]; /* friendly name, may be empty */
	char group[NAME_MAX_LEN + 1];
	enum device_state state;
	struct credential
		cira; /* per-device CIRA credentials, once provisioned; empty: the group's */
	struct credential amt;  /* per-device AMT account; empty user: the group's */
	uint8_t pin_sha256[32]; /* of the 16993 certificate, pinned on first use */
	bool pinned;
	uint64_t created_ms, updated_ms;
	uint16_t labels_len;
	struct label labels[LABELS_MAX];
	struct record_extra extra;
};

enum role { ROLE_VIEWER = 1, ROLE_OPERATOR = 2, ROLE_ADMINISTRATOR = 3 };

/* An API token. Key: id. The token itself ("cwt_" + id + "_" + 43 characters) is shown once; only its SHA-256 is kept. */
struct store_token {
	char id[17]; /* 16 lower-case hex digits */
	uint8_t sha256[32];
	char description[128];
	enum role role;
	uint16_t groups_len; /* 0: all groups */
	char groups[TOKEN_GROUPS_MAX][NAME_MAX_LEN + 1];
	uint64_t created_ms, expires_ms; /* 0: never */
	char created_by[NAME_MAX_LEN + 16];
	uint16_t scopes_len; /* 0: all that the role has */
	char scopes[TOKEN_SCOPES_MAX][NAME_MAX_LEN + 1];
	struct record_extra extra;
};

/* One line of the audit trail. Key: seq, 8 octets big-endian, counted up without gaps within one store. */
struct store_audit {
	uint64_t seq;
	uint64_t time_ms;
	char principal[96]; /* "token:ID", "cert:CN", "local:admin", "system" */
	char method[96];    /* "causeway.v1.PowerService/ChangePower", or "system/..." */
	char resource[160]; /* "devices/GUID", "groups/NAME", ... */
	char request_id[64];
	char outcome[32]; /* "OK", or the status code's name, or "STARTED" */
	char detail[256]; /* for people; never a secret */
	struct record_extra extra;
};

enum operation_state {
	OPERATION_RUNNING = 1,
	OPERATION_DONE = 2,
	OPERATION_FAILED = 3,
	OPERATION_CANCELLED = 4,
	OPERATION_INTERRUPTED = 5
};

/* A long-running operation. Key: id. result is a serialized message of the API (opaque here). */
#define OPERATION_RESULT_MAX (1024 * 1024) /* a line for each of 10,000 devices */
struct store_operation {
	char id[33];
	char kind[64];
	char principal[96];
	char resource[160];
	enum operation_state state;
	uint32_t progress_done, progress_total;
	uint64_t created_ms, updated_ms;
	uint32_t result_len;
	uint8_t *
		result; /* borrowed in put; from get: malloc'ed, the caller frees; in store_each borrowed */
	struct record_extra extra;
};

enum request_state { REQUEST_STARTED = 1, REQUEST_DONE = 2 };

/* What a request_id did. Key: SHA-256 of principal and request id. */
#define REQUEST_RESPONSE_MAX (64 * 1024)
struct store_request {
	char principal[96];
	char request_id[64];
	char method[96];
	uint8_t request_sha256
		[32]; /* of the request without its id: the same id with other content is an error */
	enum request_state state;
	uint64_t time_ms;
	uint32_t status; /* gRPC code when DONE */
	char message[256];
	uint32_t response_len;
	uint8_t *response; /* borrowed in put; from get: malloc'ed, the caller frees */
	struct record_extra extra;
};

/* A setting. Key: name. */
#define SETTING_VALUE_MAX 1024
struct store_setting {
	char name[NAME_MAX_LEN + 1];
	bool secret; /* sealed in the file */
	uint16_t value_len;
	uint8_t value[SETTING_VALUE_MAX];
	struct record_extra extra;
};

/* device_key_format: "guid" or "guid#2". device_key_parse: back; 0 or -ERR_INVALID. */
void device_key_format(const struct device_key *k, char out[DEVICE_KEY_TEXT_MAX]);
int device_key_parse(struct span text, struct device_key *out);
