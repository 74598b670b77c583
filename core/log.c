/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * log.c: formats, budgets and writes log lines. A line is built on the caller's stack side of a buf and written at once, or queued (log_queue.h); the only
 * other shared state is the level, the format and the table of budgets, which the lock protects.
 */
#include "core/log.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log_queue.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_TAIL_TEXT " truncated=true"
#define LOG_TAIL_JSON ",\"truncated\":true}"
#define LOG_TAIL_ROOM \
	32 /* kept free at the end of a line for the tail, the closing brace and the newline */
#define LOG_SPAN_MAX 1024 /* octets of one value that are looked at */

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char level_priorities[] = {'7', '6', '4', '3'}; /* sd-daemon(3) */

static _Atomic int the_level = LOG_INFO;
static _Atomic int the_format = LOG_TEXT;
static _Atomic int the_fd = STDERR_FILENO;
static _Atomic bool the_priority;

/* The budget of one event name: a token bucket in thousandths of a line. */
struct budget {
	const char *event;
	uint64_t filled_ms;
	uint32_t tokens;
	uint32_t suppressed;
	enum log_level level; /* of the last suppressed line */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct budget budgets[LOG_EVENTS_MAX + 1]; /* [0] is shared by the names that find no room */
static size_t budgets_len = 1;
static _Atomic uint64_t suppressed_total;

void log_init(enum log_format format, enum log_level level)
{
	const char *journal = getenv("JOURNAL_STREAM");

	atomic_store(&the_format, (int)format);
	atomic_store(&the_priority, journal != NULL && journal[0] != '\0');
	log_set_level(level);
}

bool log_start(void)
{
	return log_queue_start(&the_fd);
}

void log_stop(void)
{
	log_queue_stop();
}

uint64_t log_lost(void)
{
	return log_queue_lost();
}

void log_set_level(enum log_level level)
{
	atomic_store(&the_level, (int)level);
}

bool log_enabled(enum log_level level)
{
	return (int)level >= atomic_load_explicit(&the_level, memory_order_relaxed);
}

int log_level_parse(const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++)
		if (strcmp(text, level_names[i]) == 0)
			return (int)i;
	return -ERR_INVALID;
}

void log_redirect(int fd)
{
	atomic_store(&the_fd, fd < 0 ? STDERR_FILENO : fd);
}

/* Length of the valid UTF-8 sequence at p, or 0. Rejects overlong forms, surrogates and C1 controls. */
static size_t utf8_len(const uint8_t *p, size_t left)
{
	size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	uint32_t v = p[0] & (0x7fu >> n);

	if (p[0] < 0xc2 || p[0] > 0xf4 || left < n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | (p[i] & 0x3fu);
	}
	if ((n == 3 && v < 0x800) || (n == 4 && (v < 0x10000 || v > 0x10ffff)))
		return 0;
	if (v < 0xa0 || (v >= 0xd800 && v < 0xe000))
		return 0;
	/* Line separators and direction overrides can forge what a person sees. */
	if (v == 0x2028 || v == 0x2029 || (v >= 0x200e && v <= 0x200f) ||
	    (v >= 0x202a && v <= 0x202e) || (v >= 0x2066 && v <= 0x2069))
		return 0;
	return n;
}

/* One character or escape; returns the octets it stood for. */
static size_t put_char(struct buf *out, struct span s, bool json)
{
	uint8_t c = s.ptr[0];
	size_t n;

	if (c == '"' || c == '\\')
		buf_printf(out, "\\%c", c);
	else if (c == '\n')
		buf_put_str(out, "\\n");
	else if (c >= 0x20 && c < 0x7f)
		buf_put_u8(out, c);
	else if (c < 0x80)
		buf_printf(out, json ? "\\u%04x" : "\\x%02x", c);
	else {
		n = utf8_len(s.ptr, s.len);
		if (n > 0) {
			buf_put(out, s.ptr, n);
			return n;
		}
		/* JSON has no form for a lone octet: its value in a text escape that a reader can undo by eye. */
		buf_printf(out, json ? "\\\\x%02x" : "\\x%02x", c);
	}
	return 1;
}

static bool is_plain(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.ptr[i];

		if (c <= 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '=')
			return false;
	}
	return s.len > 0;
}

/* False if the value was cut to keep the line within its limit. */
static bool put_text(struct buf *out, struct span s, bool json)
{
	size_t i = 0, most = MIN(s.len, (size_t)LOG_SPAN_MAX);

	if (!json && is_plain(span_of(s.ptr, most)) && most == s.len &&
	    out->len + s.len + LOG_TAIL_ROOM <= LOG_LINE_MAX) {
		buf_put_span(out, s);
		return true;
	}
	buf_put_u8(out, '"');
	while (i < most && out->len + LOG_TAIL_ROOM + 8 <= LOG_LINE_MAX)
		i += put_char(out, span_of(s.ptr + i, s.len - i), json);
	buf_put_u8(out, '"');
	return i >= s.len;
}

_Static_assert(ADDR_TEXT_MAX > GUID_TEXT_LEN, "one array holds an address or a GUID");

static bool put_value(struct buf *out, const struct log_field *f, bool json)
{
	char text[ADDR_TEXT_MAX];

	switch (f->kind) {
	case LOG_K_SPAN:
		return put_text(out, f->v.span, json);
	case LOG_K_U64:
		buf_printf(out, "%llu", (unsigned long long)f->v.u64);
		return true;
	case LOG_K_I64:
		buf_printf(out, "%lld", (long long)f->v.i64);
		return true;
	case LOG_K_BOOL:
		buf_put_str(out, f->v.u64 != 0 ? "true" : "false");
		return true;
	case LOG_K_ERR:
		return put_text(out, span_str(err_name((int)f->v.i64)), json);
	case LOG_K_GUID:
		guid_format(f->v.guid, text);
		return put_text(out, span_str(text), json);
	case LOG_K_ADDR:
		addr_format(f->v.addr, text);
		return put_text(out, span_str(text), json);
	case LOG_K_NONE:
		break;
	}
	return true;
}

/* False if the line is full: nothing more may follow. */
static bool put_field(struct buf *out, const struct log_field *f, bool json)
{
	if (out->len + strlen(f->key) + 2 * LOG_TAIL_ROOM > LOG_LINE_MAX)
		return false;
	buf_printf(out, json ? ",\"%s\":" : " %s=", f->key);
	return put_value(out, f, json);
}

void log_format_line(const struct log_line *line, struct buf *out)
{
	bool json = line->format == LOG_JSON, whole = true;
	char when[CLOCK_TEXT_MAX];

	buf_clear(out);
	clock_format(line->wall_ms, when);
	if (line->priority)
		buf_printf(out, "<%c>", level_priorities[line->level]);
	buf_printf(out,
	           json ? "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%.64s\""
	                : "time=%s level=%s event=%.64s",
	           when, level_names[line->level], line->event);
	for (size_t i = 0; i < line->fields_len && whole; i++)
		if (line->fields[i].kind != LOG_K_NONE)
			whole = put_field(out, &line->fields[i], json);
	if (!whole)
		buf_put_str(out, json ? LOG_TAIL_JSON : LOG_TAIL_TEXT);
	else if (json)
		buf_put_u8(out, '}');
	buf_put_u8(out, '\n');
}

static void emit(enum log_level level, const char *event, const struct log_field *fields, size_t n)
{
	struct buf out = {.cap = LOG_LINE_MAX};
	struct log_line line = {.format = (enum log_format)atomic_load(&the_format),
	                        .level = level,
	                        .priority = atomic_load(&the_priority),
	                        .wall_ms = clock_wall_ms(),
	                        .event = event,
	                        .fields = fields,
	                        .fields_len = n};

	log_format_line(&line, &out);
	/* Nobody can be told that the log cannot be written. */
	if (out.err == 0 && !log_queue_put(buf_span(&out)) &&
	    write(atomic_load(&the_fd), out.data, out.len) < 0)
		out.err = -ERR_IO;
	buf_free(&out);
}

static void emit_suppressed(enum log_level level, const char *event, uint32_t count)
{
	const struct log_field f[] = {LOG_STR("name", event), LOG_U64("suppressed", count)};

	emit(level, "log_suppressed", f, ARRAY_LEN(f));
}

/* The budget of an event name. Literals may have several addresses: the text decides. The lock is held. */
static struct budget *budget_of(const char *event)
{
	for (size_t i = 1; i < budgets_len; i++)
		if (budgets[i].event == event || strcmp(budgets[i].event, event) == 0)
			return &budgets[i];
	if (budgets_len < ARRAY_LEN(budgets)) {
		budgets[budgets_len] = (struct budget){.event = event, .tokens = LOG_BURST * 1000};
		return &budgets[budgets_len++];
	}
	budgets[0].event = "other";
	return &budgets[0];
}

static void budget_refill(struct budget *b, uint64_t now_ms)
{
	uint64_t more = (now_ms - b->filled_ms) * LOG_RATE_PER_S;

	b->tokens = (uint32_t)MIN(b->tokens + more, (uint64_t)LOG_BURST * 1000);
	b->filled_ms = now_ms;
}

void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t n)
{
	uint32_t suppressed = 0;
	struct budget *b;
	bool pass;

	pthread_mutex_lock(&lock);
	b = budget_of(event);
	budget_refill(b, clock_mono_ms());
	pass = b->tokens >= 1000;
	if (pass) {
		b->tokens -= 1000;
		suppressed = b->suppressed;
		b->suppressed = 0;
	} else {
		b->suppressed++;
		suppressed_total++;
		b->level = level;
	}
	pthread_mutex_unlock(&lock);
	if (suppressed > 0)
		emit_suppressed(level, event, suppressed);
	if (pass)
		emit(level, event, fields, n);
}

uint64_t log_suppressed(void)
{
	return suppressed_total;
}

void log_tick(void)
{
	uint64_t now_ms = clock_mono_ms();

	for (size_t i = 0;; i++) {
		struct budget b = {0};

		pthread_mutex_lock(&lock);
		if (i >= budgets_len) {
			pthread_mutex_unlock(&lock);
			return;
		}
		if (budgets[i].suppressed > 0) {
			budget_refill(&budgets[i], now_ms);
			if (budgets[i].tokens >= 1000) {
				b = budgets[i];
				budgets[i].tokens -= 1000;
				budgets[i].suppressed = 0;
			}
		}
		pthread_mutex_unlock(&lock);
		if (b.suppressed > 0)
			emit_suppressed(b.level, b.event, b.suppressed);
	}
}
