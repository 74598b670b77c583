/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tickets.c: a setting that holds, newest first, for each key: the time it was made (8 octets) and the key. */
#include "gateway/tickets.h"
#include "core/crypto.h"
#include "core/err.h"
#include "core/log.h"
#include "core/text.h"

#include <string.h>

#define SETTING    "tls.ticket_keys"
#define ROTATE_MS  (TLS_TICKET_AGE_S * 1000ull)
#define ENTRY_SIZE (8 + sizeof(struct tls_ticket_key))
#define RING_MAX   (TLS_TICKET_KEYS * ENTRY_SIZE)

struct ring {
	struct tls_ticket_key keys[TLS_TICKET_KEYS];
	uint64_t made_ms[TLS_TICKET_KEYS];
	size_t len;
};

/* What is no ring is as good as none: tickets are a comfort. */
static void decode(struct span in, struct ring *r)
{
	struct cur c = cur_of(in);

	*r = (struct ring){.len = 0};
	if (in.len > RING_MAX || in.len % ENTRY_SIZE != 0)
		return;
	for (; r->len < in.len / ENTRY_SIZE; r->len++) {
		struct span key;

		r->made_ms[r->len] = (uint64_t)cur_u32(&c) << 32;
		r->made_ms[r->len] |= cur_u32(&c);
		key = cur_bytes(&c, sizeof(r->keys[0]));
		memcpy(&r->keys[r->len], key.ptr, sizeof(r->keys[0]));
	}
}

static void encode(const struct ring *r, struct buf *out)
{
	for (size_t i = 0; i < r->len; i++) {
		buf_put_u32(out, (uint32_t)(r->made_ms[i] >> 32));
		buf_put_u32(out, (uint32_t)r->made_ms[i]);
		buf_put(out, &r->keys[i], sizeof(r->keys[i]));
	}
}

static int load(struct store_txn *txn, void *arg)
{
	struct ring *r = arg;
	struct buf b;
	int err;

	buf_init(&b, SETTING_VALUE_MAX);
	err = store_setting_get(txn, SETTING, &b);
	if (err == 0)
		decode(buf_span(&b), r);
	buf_free_secret(&b);
	return err == -ERR_NOT_FOUND ? 0 : err;
}

static int save(struct store_txn *txn, void *arg)
{
	struct buf b;
	int err;

	buf_init(&b, SETTING_VALUE_MAX);
	encode(arg, &b);
	err = b.err != 0 ? b.err : store_setting_put(txn, SETTING, buf_span(&b), true);
	buf_free_secret(&b);
	return err;
}

/* A key from the future is due, too: the clock was set back, and the key would never be. */
static bool is_due(const struct ring *r, uint64_t now)
{
	return r->len == 0 || now - r->made_ms[0] >= ROTATE_MS;
}

static void rotate(struct ring *r, uint64_t now)
{
	if (r->len > 0) {
		r->keys[1] = r->keys[0];
		r->made_ms[1] = r->made_ms[0];
	}
	r->len = MIN(r->len + 1, (size_t)TLS_TICKET_KEYS);
	r->made_ms[0] = now;
	random_bytes(&r->keys[0], sizeof(r->keys[0]));
}

int tickets_refresh(struct store *s, struct tls_tickets *t, uint64_t now_ms)
{
	struct ring r = {.len = 0};
	int err = store_view(s, load, &r);

	if (is_due(&r, now_ms)) {
		rotate(&r, now_ms);
		err = store_update(s, save, &r);
	}
	tls_tickets_set(t, r.keys, r.len);
	secret_zero(&r, sizeof(r));
	if (err != 0)
		log_event(LOG_WARN, "ticket_keys_not_stored", LOG_ERR("err", err));
	return err;
}
