/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * log.h: structured log lines on stderr: key=value (logfmt) or one JSON object a line. Values are escaped, so that nothing a
 * peer sends can forge a line or reach a terminal raw. Each event name has a budget (LOG_RATE_PER_S, LOG_BURST); what is over it
 * is counted and reported as "suppressed". There is no field macro for struct secret (core/secret.h), on purpose.
 * Any thread. Logging never fails. A line is one write(2), for which the caller waits; between log_start and log_stop a thread writes, and nobody waits.
 *
 *	log_event(LOG_INFO, "tunnel_open", LOG_GUID("device", &t->guid), LOG_U64("tun", n), LOG_ERR("err", e));
 */
#pragma once

#include "core/addr.h"
#include "core/buf.h"
#include "core/text.h"

#define LOG_LINE_MAX \
	2048 /* octets with the newline; a longer line is cut and ends with truncated=true */
#define LOG_RATE_PER_S 20
#define LOG_BURST      100
#define LOG_EVENTS_MAX 512 /* event names with a budget of their own; later ones share one */

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

enum log_kind {
	LOG_K_NONE,
	LOG_K_SPAN,
	LOG_K_U64,
	LOG_K_I64,
	LOG_K_BOOL,
	LOG_K_ERR,
	LOG_K_GUID,
	LOG_K_ADDR
};

/* One key and value. Everything is borrowed for the call. Use the macros below. */
struct log_field {
	const char *key; /* [a-z0-9_]+, a literal */
	enum log_kind kind;
	union {
		struct span span;
		uint64_t u64;
		int64_t i64;
		const struct guid *guid;
		const struct addr *addr;
	} v;
};

/* Field macros. LOG_STR takes NULL as ""; LOG_ERR prints err_name; LOG_ADDR prints host:port. */
#define LOG_STR(k, s)  ((struct log_field){(k), LOG_K_SPAN, {.span = log_str_span(s)}})
#define LOG_SPAN(k, s) ((struct log_field){(k), LOG_K_SPAN, {.span = (s)}})
#define LOG_U64(k, n)  ((struct log_field){(k), LOG_K_U64, {.u64 = (n)}})
#define LOG_I64(k, n)  ((struct log_field){(k), LOG_K_I64, {.i64 = (n)}})
#define LOG_BOOL(k, b) ((struct log_field){(k), LOG_K_BOOL, {.u64 = (b) ? 1 : 0}})
#define LOG_ERR(k, e)  ((struct log_field){(k), LOG_K_ERR, {.i64 = (e)}})
#define LOG_GUID(k, g) ((struct log_field){(k), LOG_K_GUID, {.guid = (g)}})
#define LOG_ADDR(k, a) ((struct log_field){(k), LOG_K_ADDR, {.addr = (a)}})

/* log_event(level, event, fields...): writes a line. event is a literal [a-z0-9_]+. */
#define log_event(level, event, ...)                                                            \
	do {                                                                                    \
		if (log_enabled(level)) {                                                       \
			const struct log_field log_fields_[] = {{NULL, LOG_K_NONE, {.u64 = 0}}, \
			                                        ##__VA_ARGS__};                 \
			log_write((level), (event), log_fields_, ARRAY_LEN(log_fields_));       \
		}                                                                               \
	} while (0)

/* log_init: format and level; reads JOURNAL_STREAM to know whether lines go to journald ("<N>" priorities). Optional. */
void log_init(enum log_format format, enum log_level level);
/*
 * log_start: from here on a thread writes the lines (log_queue.h), so that a log that is read or stored slowly stops nobody; lines that do not fit into
 * its queue are lost, counted (log_lost) and told. False: it could not be started. The signals that are blocked now are blocked in it.
 * log_stop: waits until all is written, two seconds at most.
 */
bool log_start(void);
void log_stop(void);
uint64_t log_lost(void);
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);
/* log_level_parse: "debug", "info", "warn", "error"; or -ERR_INVALID. */
int log_level_parse(const char *text);
/* log_suppressed: lines that their event's budget held back since the start. Any thread. */
uint64_t log_suppressed(void);
/* log_tick: reports suppressed lines whose event has fallen silent. Call about once a second from any one thread. */
void log_tick(void);

/* Behind the macro. */
void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t n);
static inline struct span log_str_span(const char *s)
{
	return span_str(s != NULL ? s : "");
}

/* log_redirect: lines go to fd instead of stderr (tests). -1: back to stderr. */
void log_redirect(int fd);

/* One line as log_write makes it, without rate limit (tests). */
struct log_line {
	enum log_format format;
	enum log_level level;
	bool priority; /* journald prefix */
	int64_t wall_ms;
	const char *event;
	const struct log_field *fields;
	size_t fields_len;
};
/* log_format_line: replaces out's content by the line with its newline, at most LOG_LINE_MAX octets. Pure. */
void log_format_line(const struct log_line *line, struct buf *out);
