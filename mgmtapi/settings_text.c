/* SPDX-License-Identifier: GPL-3.0-or-later */
/* settings_text.c: see settings_text.h. */
#include "mgmtapi/settings_text.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>

static const void *member(const struct conf_field *f, const void *conf)
{
	return (const char *)conf + f->offset;
}

static void put_scaled(struct buf *out, uint64_t v, const uint64_t *units, const char *const *names)
{
	size_t i = 0;

	while (units[i] > 1 && (v < units[i] || v % units[i] != 0))
		i++;
	buf_printf(out, "%" PRIu64 "%s", v / units[i], v == 0 ? "" : names[i]);
}

static void put_duration(struct buf *out, uint64_t ms)
{
	static const uint64_t units[] = {86400000, 3600000, 60000, 1000, 1};
	static const char *const names[] = {"d", "h", "m", "s", "ms"};

	put_scaled(out, ms, units, names);
}

static void put_size(struct buf *out, uint64_t n)
{
	static const uint64_t units[] = {1ull << 40, 1ull << 30, 1ull << 20, 1ull << 10, 1};
	static const char *const names[] = {"TiB", "GiB", "MiB", "KiB", ""};

	put_scaled(out, n, units, names);
}

static void put_addr(struct buf *out, const struct addr *a)
{
	char text[ADDR_TEXT_MAX] = "";

	if (a->len > 0)
		addr_format(a, text);
	buf_put_str(out, text);
}

static void put_cidr(struct buf *out, const struct cidr *c)
{
	char text[INET6_ADDRSTRLEN] = "";

	if (inet_ntop(c->family, c->bytes, text, sizeof(text)) != NULL)
		buf_printf(out, "%s/%u", text, c->prefix_len);
}

static void put_line(struct buf *out, size_t i)
{
	if (i > 0)
		buf_put_str(out, "\n");
}

static void put_list(const struct conf_field *f, const void *at, struct buf *out)
{
	const struct conf_strs *strs = at;
	const struct conf_addrs *addrs = at;
	const struct conf_cidrs *cidrs = at;

	for (size_t i = 0; f->type == CONF_STR_LIST && i < strs->n; i++) {
		put_line(out, i);
		buf_put_str(out, strs->v[i]);
	}
	for (size_t i = 0; f->type == CONF_ADDR_LIST && i < addrs->n; i++) {
		put_line(out, i);
		put_addr(out, &addrs->v[i]);
	}
	for (size_t i = 0; f->type == CONF_CIDR_LIST && i < cidrs->n; i++) {
		put_line(out, i);
		put_cidr(out, &cidrs->v[i]);
	}
}

static void put_scalar(const struct conf_field *f, const void *at, struct buf *out)
{
	switch (f->type) {
	case CONF_BOOL:
		buf_put_str(out, *(const bool *)at ? "true" : "false");
		break;
	case CONF_INT:
		buf_printf(out, "%" PRIu64, *(const uint64_t *)at);
		break;
	case CONF_DURATION:
		put_duration(out, *(const uint64_t *)at);
		break;
	case CONF_SIZE:
		put_size(out, *(const uint64_t *)at);
		break;
	case CONF_ENUM:
		buf_put_str(out, f->choices[*(const unsigned *)at]);
		break;
	case CONF_STR:
		buf_put_str(out, *(const char *const *)at != NULL ? *(const char *const *)at : "");
		break;
	case CONF_ADDR:
		put_addr(out, at);
		break;
	default:
		put_list(f, at, out);
		break;
	}
}

/* An item's fields in one line: "address=[::]:4434 profile=legacy". */
static void put_items(const struct conf_field *f, const struct conf_items *items, struct buf *out)
{
	for (size_t i = 0; i < items->n; i++) {
		const char *item = (const char *)items->v + i * f->items->size;

		put_line(out, i);
		for (size_t k = 0; k < f->items->fields_len; k++) {
			const struct conf_field *g = &f->items->fields[k];

			buf_printf(out, "%s%s=", k > 0 ? " " : "", g->key);
			put_scalar(g, member(g, item), out);
		}
	}
}

void settings_text(const struct conf_field *f, const void *conf, struct buf *out)
{
	if (f->type == CONF_ITEMS)
		put_items(f, member(f, conf), out);
	else
		put_scalar(f, member(f, conf), out);
}

bool settings_need_restart(const char *key)
{
	static const char *const keys[] = {
		"cira.listen",     "cira.listeners", "cira.max_tunnels",    "cira.max_handshakes",
		"cira.proxy_from", "api.listen",     "api.max_connections", "api.max_message",
		"metrics.listen",  "log.format",     "store.map_size",      "store.key_file",
		"workers"};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (strcmp(keys[i], key) == 0)
			return true;
	return false;
}
